use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn kinds_of_addresses() {
    let check = |address: &str, expected: Option<Kind>| assert_eq!(kind(ip(address)), expected, "{address}");
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        // A public address inside: 6to4, NAT64, mapped, compatible, translated.
        "2002:808:808::1",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
    ] {
        check(public, None);
    }
    let all = [
        ("0.0.0.0", Kind::Unspecified),
        ("0.1.2.3", Kind::Unspecified),
        ("10.0.0.1", Kind::Private),
        ("10.255.255.255", Kind::Private),
        ("100.64.0.1", Kind::Shared),
        ("100.127.255.255", Kind::Shared),
        ("127.0.0.1", Kind::Loopback),
        ("127.255.255.254", Kind::Loopback),
        ("169.254.0.1", Kind::LinkLocal),
        ("172.16.0.1", Kind::Private),
        ("172.31.255.255", Kind::Private),
        ("192.168.1.1", Kind::Private),
        ("192.0.0.8", Kind::Reserved),
        ("192.0.2.1", Kind::Reserved),
        ("192.88.99.1", Kind::Reserved),
        ("198.18.0.1", Kind::Reserved),
        ("198.51.100.1", Kind::Reserved),
        ("203.0.113.1", Kind::Reserved),
        ("224.0.0.1", Kind::Multicast),
        ("239.255.255.255", Kind::Multicast),
        ("240.0.0.1", Kind::Reserved),
        ("255.255.255.255", Kind::Reserved),
        ("169.254.169.254", Kind::Metadata),
        ("100.100.100.200", Kind::Metadata),
        ("168.63.129.16", Kind::Metadata),
    ];
    for (address, expected) in all {
        check(address, Some(expected));
        let IpAddr::V4(v4) = ip(address) else { panic!() };
        let [a, b, c, d] = v4.octets();
        let sixes = [
            format!("::ffff:{address}"),
            format!("::ffff:0:{address}"),
            format!("64:ff9b::{address}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        ];
        for six in sixes {
            check(&six, Some(expected));
        }
        // The two that are addresses of their own.
        if v4.to_bits() > 1 {
            check(&format!("::{address}"), Some(expected));
        }
    }
    for (address, expected) in [
        ("::", Kind::Unspecified),
        ("::1", Kind::Loopback),
        ("fc00::1", Kind::Private),
        ("fdff::1", Kind::Private),
        ("fe80::1", Kind::LinkLocal),
        ("febf::1", Kind::LinkLocal),
        ("fec0::1", Kind::Private),
        ("ff02::1", Kind::Multicast),
        ("fd00:ec2::254", Kind::Metadata),
        ("64:ff9b:1::a00:1", Kind::Private),
        ("2001::1", Kind::Reserved),
        ("2001:0:a00:1::", Kind::Reserved),
        ("2001:db8::1", Kind::Reserved),
        ("3fff::1", Kind::Reserved),
        ("100::1", Kind::Reserved),
        ("5f00::1", Kind::Reserved),
        ("4000::1", Kind::Reserved),
    ] {
        check(address, Some(expected));
    }
}

#[test]
fn what_is_listed_may_be_called() {
    let entries = [
        "10.1.0.0/16",
        "127.0.0.1",
        "fd00::/8",
        "Hooks.example.org",
        "64:ff9b::/96",
    ];
    let allow = Allow::read(&entries.map(str::to_owned)).unwrap();
    let check = |name: Option<&str>, address: &str, expected: bool| {
        let ip = ip(address);
        let host = name.map_or(Host::Address(ip), |name| Host::Name(name.to_owned()));
        let found = kind(ip).is_none_or(|kind| allow.has(&host, ip, kind));
        assert_eq!(found, expected, "{name:?} {address}");
    };
    check(None, "10.1.2.3", true);
    check(None, "::ffff:10.1.2.3", true);
    check(None, "64:ff9b::10.9.9.9", true);
    check(None, "2002:a01:203::1", false);
    check(None, "10.2.0.1", false);
    check(None, "127.0.0.1", true);
    check(None, "127.0.0.2", false);
    check(None, "fd12::1", true);
    check(None, "fe80::1", false);
    check(None, "8.8.8.8", true);
    check(Some("hooks.example.org"), "192.168.1.1", true);
    check(Some("hooks.example.org"), "::1", true);
    check(Some("other.example.org"), "192.168.1.1", false);
    check(Some("other.example.org"), "10.1.0.1", true);
    // Whoever holds a listed name does not lead the controller to a cloud's secrets.
    check(Some("hooks.example.org"), "169.254.169.254", false);
    check(Some("hooks.example.org"), "169.254.1.1", false);
    check(Some("hooks.example.org"), "0.0.0.0", false);
    check(Some("hooks.example.org"), "224.0.0.1", false);
}

#[test]
fn every_entry_that_is_none_is_told() {
    let check = |entry: &str, says: &str| {
        let problems = Allow::read(&[entry.to_owned()]).unwrap_err();
        assert!(problems.concat().contains(says), "{entry}: {problems:?}");
    };
    check("10.1.2.3/8", "not the network");
    check("10.0.0.0/33", "0 to 32");
    check("fd00::/129", "0 to 128");
    check("fd00::/x", "0 to 128");
    check("example.org/8", "no address");
    check("http://example.org", "no address");
    check("2130706433", "no network");
    check("127.1", "no network");
    check("*.example.org", "no network");
    check("", "no network");
    let two = Allow::read(&["a b".to_owned(), "10.0.0.1/8".to_owned()]).unwrap_err();
    assert_eq!(two.len(), 2);
    assert!(Allow::read(&["0.0.0.0/0".to_owned(), "::/0".to_owned()]).is_ok());
}
