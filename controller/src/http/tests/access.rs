//! Who may do what: nobody anything without a credential, but for the listed operations.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::world::{World, enrol_request};
use crate::{
    fleet::EnrolRequest,
    http::{OPEN, document},
};

/// A new operation is in the document by being routed; if it is open without being listed, this fails.
#[tokio::test]
async fn every_endpoint_refuses_strangers() {
    let world = World::empty();
    let document = serde_json::to_value(document()).unwrap();
    let (mut seen, mut open) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| key.len() <= 6 && *key != "summary")
        {
            let method = method.to_uppercase();
            if OPEN.contains(&(method.as_str(), path.as_str())) {
                open.push((method, path.clone()));
                continue;
            }
            seen += 1;
            let url = path
                .replace("{id}", "x")
                .replace("{rev}", "1")
                .replace("{arch}", "x");
            for authorization in [None, Some("Bearer wft_x"), Some("Basic eDp5"), Some("Bearer ")] {
                let mut request = world.request(&method, &url, None);
                if let Some(value) = authorization {
                    request
                        .headers_mut()
                        .insert("authorization", value.parse().unwrap());
                }
                let (status, _, answer) = world.send(request).await;
                assert_eq!(
                    status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {authorization:?}: {answer}"
                );
                assert_eq!(answer["code"], "WF-1002", "{method} {path}");
                assert!(!answer["request_id"].as_str().unwrap().is_empty());
            }
        }
    }
    assert!(seen >= 25, "only {seen} operations");
    assert_eq!(
        open.len(),
        OPEN.len(),
        "an open operation is listed that does not exist: {open:?}"
    );
}

#[tokio::test]
async fn a_session_ends_when_it_is_ended() {
    let world = World::new().await;
    world.ok("GET", "/api/v1/me", None).await;
    let (status, _) = world.call("DELETE", "/api/v1/sessions/current", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        world.call("GET", "/api/v1/me", None).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_cookie_is_for_browsers_and_other_sites_stay_out() {
    let mut world = World::new().await;
    world.token.clear();
    let login = json!({"username": "Admin", "password": "correct horse"});
    let request = world.request("POST", "/api/v1/sessions", Some(login));
    let (status, headers, answer) = world.send(request).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer.get("token").is_none());
    let cookie = headers["set-cookie"].to_str().unwrap();
    for part in [
        "__Host-wf=",
        "; Path=/",
        "; Secure",
        "; HttpOnly",
        "; SameSite=Strict",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let check = async |headers: &[(&str, &str)], expected: StatusCode| {
        let mut request = world.request("POST", "/api/v1/enrolment-tokens", Some(json!({})));
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(world.send(request).await.0, expected, "{headers:?}");
    };
    check(&[], StatusCode::OK).await;
    check(&[("sec-fetch-site", "same-origin")], StatusCode::OK).await;
    check(&[("origin", "https://wf.example:8443")], StatusCode::OK).await;
    check(&[("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN).await;
    check(&[("sec-fetch-site", "same-site")], StatusCode::FORBIDDEN).await;
    check(&[("origin", "https://evil.example")], StatusCode::FORBIDDEN).await;
    check(&[("origin", "null")], StatusCode::FORBIDDEN).await;
    check(
        &[("content-type", "text/plain")],
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
    // A bearer token in a cookie, or a cookie's secret as bearer, is no credential.
    let mut request = world.request("GET", "/api/v1/me", None);
    let secret = cookie.split_once('=').unwrap().1;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {secret}").parse().unwrap());
    assert_eq!(world.send(request).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn set_up_works_once() {
    let world = World::new().await;
    let (code, _) = world.app.setup().present().unwrap();
    let body = json!({"code": code, "username": "second", "password": "correct horse"});
    let (status, answer) = world.call("POST", "/api/v1/setup", Some(body)).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::FORBIDDEN, &json!("WF-1011")),
        "{answer}"
    );
    assert_eq!(world.ok("GET", "/api/v1/setup", None).await["needed"], false);
}

#[tokio::test]
async fn pages_carry_the_policy_and_api_paths_are_no_pages() {
    let world = World::empty();
    let (status, headers, _) = world.send(world.request("GET", "/stacks/anything", None)).await;
    assert_eq!(status, StatusCode::OK);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("'nonce-") && !policy.contains("unsafe")
    );
    for header in [
        "x-content-type-options",
        "referrer-policy",
        "strict-transport-security",
        "x-request-id",
    ] {
        assert!(headers.contains_key(header), "{header}");
    }
    let (status, answer) = world.call("GET", "/api/v1/nothing", None).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::NOT_FOUND, &json!("WF-1004")),
        "{answer}"
    );
}

#[tokio::test]
async fn many_hosts_of_one_site_join_at_once() {
    let world = World::new().await;
    for key in 1..=30 {
        let made = world
            .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
            .await;
        let request = enrol_request(made["secret"].as_str().unwrap(), key);
        world.app.agent_enrol(request).await.unwrap();
    }
    // Guesses from there are counted.
    for _ in 0..10 {
        let guess = world.app.agent_enrol(enrol_request("wfj_guess", 40)).await;
        assert!(!guess.unwrap_err().to_string().contains("too many"));
    }
    let guess = world.app.agent_enrol(enrol_request("wfj_guess", 40)).await;
    assert!(guess.unwrap_err().to_string().contains("too many"));
    // That address waits, with a good token too, whatever its port; others do not, and the token is not used up.
    let made = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
        .await;
    let from = |remote: &str| EnrolRequest {
        remote: remote.to_owned(),
        ..enrol_request(made["secret"].as_str().unwrap(), 41)
    };
    let refused = world.app.agent_enrol(from("10.0.0.9:2")).await.unwrap_err();
    assert!(refused.to_string().contains("too many"), "{refused}");
    let granted = world.app.agent_enrol(from("10.0.0.10:1")).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    let again = world.app.agent_enrol(from("10.0.0.9:3")).await.unwrap();
    assert_eq!(again.agent, granted.agent, "a minute later it may try again");
}

#[tokio::test]
async fn guessing_passwords_and_setup_codes_is_slow() {
    let mut world = World::new().await;
    world.token.clear();
    let answer = async |path: &str, body: serde_json::Value| {
        let (status, headers, answer) = world.send(world.request("POST", path, Some(body))).await;
        let wait = headers
            .get("retry-after")
            .map(|wait| wait.to_str().unwrap().to_owned());
        (
            status.as_u16(),
            answer["code"].as_str().unwrap_or_default().to_owned(),
            wait,
        )
    };
    let login = |password: &str| json!({"username": "admin", "password": password});
    for _ in 0..5 {
        let (status, code, _) = answer("/api/v1/sessions", login("wrong horse")).await;
        assert_eq!((status, code.as_str()), (401, "WF-1002"));
    }
    // The right one does not help either, until the time is over.
    let (status, code, wait) = answer("/api/v1/sessions", login("correct horse")).await;
    assert_eq!((status, code.as_str()), (429, "WF-1007"));
    assert_eq!(wait.as_deref(), Some("60"));
    world.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(answer("/api/v1/sessions", login("correct horse")).await.0, 200);
    let guess = json!({"code": "AAAA-BBBB-CCCC", "username": "x", "password": "correct horse"});
    for _ in 0..5 {
        assert_eq!(answer("/api/v1/setup", guess.clone()).await.1, "WF-1011");
    }
    assert_eq!(answer("/api/v1/setup", guess).await.0, 429);
}

#[tokio::test]
async fn a_websocket_of_another_site_is_refused() {
    let mut world = World::new().await;
    let stack = world.stack("web").await;
    world.token.clear();
    let login = json!({"username": "admin", "password": "correct horse"});
    let (_, headers, _) = world
        .send(world.request("POST", "/api/v1/sessions", Some(login)))
        .await;
    let cookie = headers["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let terminal = windflow_model::TerminalId::from_uuid(uuid::Uuid::nil());
    let paths = [
        format!("/api/v1/stacks/{stack}/logs"),
        format!("/api/v1/terminals/{terminal}"),
    ];
    let check = async |path: &str, origin: Option<&str>, refused: bool| {
        let mut request = world.request("GET", path, None);
        let headers = request.headers_mut();
        headers.insert("cookie", cookie.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let (status, _, answer) = world.send(request).await;
        assert_eq!(
            status == StatusCode::FORBIDDEN,
            refused,
            "{path} {origin:?}: {status} {answer}"
        );
    };
    for path in paths {
        // Browsers always say where they come from; a cookie without that is no browser of ours.
        check(&path, None, true).await;
        check(&path, Some("https://evil.example"), true).await;
        check(&path, Some("http://wf.example:8443"), true).await;
        check(&path, Some("null"), true).await;
        check(&path, Some("https://wf.example:8443"), false).await;
    }
}
