//! Compose files with mistakes: told with their place, before anything is saved.

use windflow_tests::Fleet;

use super::{Case, check};

#[tokio::test(flavor = "multi_thread")]
async fn files_with_mistakes() {
    let fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    let file = fleet.scratch().join("compose.yaml");
    let path = file.display().to_string();
    for (what, text, expected) in [
        (
            "YAML error",
            "services:\n  web:\n    image: x\n   ports: [80]\n",
            "compose.yaml:4:4: not valid YAML: while parsing a block mapping, did not find expected key",
        ),
        (
            "unknown key",
            "services:\n  web:\n    image: x\n    prots: ['80:80']\n",
            "compose.yaml:4:5: services.web: unknown key \"prots\"",
        ),
    ] {
        fs_err::write(&file, text).unwrap();
        let said = line
            .run(&["stack", "deploy", "wrong", "-f", &path, "--detach"])
            .await;
        let stacks = fleet.client().stack_list().await.unwrap();
        let left = stacks
            .into_iter()
            .map(|stack| stack.stack.name.to_string())
            .collect();
        let expected = format!(
            "{expected}\nerror: the Compose project has problems\nhint: Correct the lines above; nothing was changed."
        );
        check(&Case::exit(what, &said, left), "2", &expected);
    }
}
