use super::{super::notice::tests::line, *};

const GOOD: &str = r#"
receivers:
  - {name: team, kind: slack, urlFile: /run/team}
  - {name: pager, kind: webhook, urlFile: /run/pager, headerFiles: {Authorization: /run/token}, template: '{"summary": {{ text }}}'}
routes:
  - {owners: ["*@example.com"], codes: [ExpiresSoon, Expired], to: [team]}
  - {severity: critical, to: [pager, team]}
  - {namespaces: [staging-*], policies: [noisy], to: []}
default: [team]
digest: {window: 1m, atMost: 3}
repeat: 2h
owners: {ada@example.com: U024BE7LH}
"#;

fn notice(event: &str, action: &str, outcome: Option<&str>, code: &str, owner: &str) -> Notice {
    Notice::of(&line(event, action, outcome, code, "a", owner)).unwrap()
}

#[test]
fn the_first_route_that_matches_says_who_is_told() {
    let config = Config::parse(GOOD).unwrap();
    let told = |notice: &Notice| config.receivers_of(notice).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(told(&notice("acted", "delete", Some("done"), "Expired", "ada@example.com")), ["team"]);
    assert_eq!(told(&notice("decided", "alert", None, "BrakeOn", "ada@example.com")), ["pager", "team"]);
    let noisy = |namespace: &str| {
        let mut found = notice("acted", "delete", Some("done"), "Expired", "bob@elsewhere");
        found.line.policy = Some("noisy".to_owned());
        found.line.clone.as_mut().unwrap().namespace = Some(namespace.to_owned());
        told(&found)
    };
    assert_eq!((noisy("staging-1"), noisy("other")), (Vec::new(), vec!["team".to_owned()]));
    assert_eq!(config.pace, Pace { window: Duration::from_secs(60), at_most: 3, repeat: Duration::from_secs(7_200) });
}

#[test]
fn an_owner_who_is_only_claimed_takes_a_notice_from_nobody() {
    let text = GOOD.replace("owners: {ada", "# {ada").replace("to: [team]}", "to: [pager]}");
    let with = |more: &str| Config::parse(&text.replace("routes:\n", &format!("routes:\n{more}"))).unwrap();
    let mut claimed = notice("acted", "delete", Some("done"), "Expired", "ada@example.com");
    let config = with("");
    assert_eq!(config.receivers_of(&claimed), ["pager"]);
    claimed.line.clone.as_mut().unwrap().admitted = None;
    assert_eq!(config.receivers_of(&claimed), ["pager", "team"], "the default is told as well");
    assert_eq!(with("  - {owners: [ada@example.com], to: []}\n").receivers_of(&claimed), ["team"], "nobody can have it told to nobody");
    assert_eq!(with("  - {namespaces: [staging], to: [pager]}\n").receivers_of(&claimed), ["pager"], "once, by what is no claim");
    let nobodys = {
        claimed.line.clone = None;
        claimed
    };
    assert_eq!(config.receivers_of(&nobodys), ["team"]);
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("*@example.com", "ada@example.com", true),
        ("*@example.com", "ada@example.com.evil", false),
        ("a*a", "a", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*ab", "aab", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let bad = GOOD
        .replace("name: team,", "name: Team!,")
        .replace("to: [pager, team]", "to: [pagger]")
        .replace("window: 1m", "window: 90")
        .replace("repeat: 2h", "repeat: 4000d")
        .replace("atMost: 3", "atMost: 0")
        .replace("U024BE7LH", "'<!here>'")
        .replace("{{ text }}", "{{ txet }}")
        .replace("Authorization", "Content-Length");
    let problems = Config::parse(&bad).unwrap_err().join("\n");
    for part in [
        "`Team!`",
        "`pagger`",
        "digest.window",
        "`repeat`",
        "digest.atMost",
        "`<!here>`",
        "line 4: receiver `pager`: `template`: line 1, column",
        "`Content-Length`",
    ] {
        assert!(problems.contains(part), "{part} is not in:\n{problems}");
    }
    let unknown = Config::parse(&GOOD.replace("urlFile: /run/team", "url: https://hooks/secret")).unwrap_err().join("\n");
    assert!(unknown.contains("url") && unknown.contains("line 3") && !unknown.contains("secret"), "{unknown}");
    assert!(Config::parse("receivers: []").is_err());
    assert!(Config::parse(&GOOD.replace("name: pager", "name: team")).unwrap_err().join("").contains("twice"));
}

#[test]
fn addresses_and_headers_come_from_files_and_are_in_no_error() {
    let folder = std::env::temp_dir().join(format!("clonewarden-notices-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (url, token, file) = (folder.join("url"), folder.join("token"), folder.join("notifications.yaml"));
    let text = format!(
        "receivers: [{{name: a, kind: webhook, urlFile: '{}', headerFiles: {{Authorization: '{}'}}}}]\ndefault: [a]",
        url.display(),
        token.display()
    );
    fs::write(&file, text).unwrap();
    assert!(Config::read(&file).unwrap_err().join("").contains("cannot be read"));
    fs::write(&url, "https://hooks.example.com/s3cret\n").unwrap();
    fs::write(&token, "Bearer t0ken\n").unwrap();
    let config = Config::read(&file).unwrap();
    let receiver = config.receivers.first().unwrap();
    assert_eq!(receiver.address().unwrap().path(), "/s3cret");
    assert_eq!(receiver.headers().unwrap().first().unwrap().1, "Bearer t0ken");
    let shown = format!("{config:?} {:?}", receiver.headers());
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    for (address, header) in [("http://hooks.example.com/s3cret", "t0ken"), ("https://a/s3cret", "t0ken\nX: y")] {
        fs::write(&url, address).unwrap();
        fs::write(&token, header).unwrap();
        let problems = Config::read(&file).unwrap_err().join("\n");
        assert!(!problems.contains("s3cret") && !problems.contains("t0ken"), "{problems}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
