use super::*;

fn policies() -> Option<String> {
    Some(std::env::temp_dir().display().to_string())
}

#[test]
fn defaults_need_only_the_policies() {
    let settings = RunArgs { policies: policies(), ..RunArgs::default() }.settle().unwrap();
    assert_eq!((settings.listen.port(), settings.sweep_every.as_secs(), settings.json_logs), (8080, 300, false));
}

#[test]
fn every_problem_is_reported_at_once() {
    let args = RunArgs {
        policies: Some("/there/is/no/such/folder".into()),
        cluster_id: Some("REPLACE-CLUSTER-ID".into()),
        listen: Some("8080".into()),
        sweep_every: Some("7m".into()),
        log_format: Some("xml".into()),
        log: Some("=,=".into()),
        clone_metrics: Some("many".into()),
        aws_account: Some("12345".into()),
        aws_regions: Some("us-east-1,Frankfurt".into()),
        config: Some("/there/is/no/such/file".into()),
        ..RunArgs::default()
    };
    let problems = args.settle().unwrap_err().0;
    for flag in [
        "--policies",
        "--cluster-id",
        "--listen",
        "--sweep-every",
        "--log-format",
        "--log:",
        "--clone-metrics",
        "--aws-account",
        "--aws-regions",
        "--config",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(flag)), "{flag}: {problems:?}");
    }
}

#[test]
fn regions_are_checked_and_are_there_once() {
    let settle = |regions: &str| RunArgs { policies: policies(), aws_regions: Some(regions.into()), ..RunArgs::default() }.settle();
    let regions = settle("us-east-1, eu-central-1,us-gov-west-1").unwrap().aws_regions;
    assert_eq!(regions.iter().map(|region| &**region).collect::<Vec<_>>(), ["us-east-1", "eu-central-1", "us-gov-west-1"]);
    assert!(settle(" ").unwrap().aws_regions.is_empty());
    for wrong in ["us-east-1,us-east-1", "us-1", "us-east", "us-east-", "us-east-10", "u-east-1", "us--1", "US-east-1", "us-e4st-1", "us-east-1;x"] {
        assert!(settle(wrong).unwrap_err().0.iter().all(|problem| problem.starts_with("--aws-regions")), "{wrong}");
    }
}

#[test]
fn nobody_pays_for_a_bill_who_did_not_say_so() {
    let settle = |calls: Option<&str>, every: Option<&str>, tag: Option<&str>, regions: &str| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let args = RunArgs {
            policies: policies(),
            aws_regions: Some(regions.into()),
            billing_calls_per_day: text(calls),
            billing_every: text(every),
            billing_tag: text(tag),
            ..RunArgs::default()
        };
        args.settle().map(|settings| settings.bills)
    };
    assert_eq!((settle(None, None, None, "us-east-1"), settle(Some("0"), None, None, "")), (Ok(None), Ok(None)));
    let bills = settle(Some("12"), None, None, "us-east-1").unwrap().unwrap();
    assert_eq!((bills.calls_per_day, bills.every.as_secs(), bills.tag.as_ref()), (12, 21_600, "Namespace"));
    for (calls, every, tag, regions) in [
        (Some("12"), None, None, ""),
        (Some("-1"), None, None, "us-east-1"),
        (Some("many"), None, None, "us-east-1"),
        (Some("1"), Some("5h"), None, "us-east-1"),
        (Some("1"), Some("7m"), None, "us-east-1"),
        (Some("1"), Some("48h"), None, "us-east-1"),
        (Some("1"), None, Some(""), "us-east-1"),
        (Some("1"), None, Some("a$b"), "us-east-1"),
        (None, Some("6h"), None, "us-east-1"),
        (Some("0"), None, Some("Team"), "us-east-1"),
    ] {
        let problems = settle(calls, every, tag, regions).unwrap_err().0;
        assert!(problems.iter().all(|problem| problem.starts_with("--billing-")), "{calls:?} {every:?} {tag:?}: {problems:?}");
    }
    for every in ["1s", "30s", "15m", "1h", "12h", "24h", "1d"] {
        assert!(settle(Some("1"), Some(every), None, "us-east-1").is_ok(), "{every}");
    }
}

#[test]
fn a_flag_goes_before_the_file_and_an_unknown_key_is_an_error() {
    let path = std::env::temp_dir().join(format!("clonewarden-settings-{}.yaml", std::process::id()));
    std::fs::write(&path, "listen: 127.0.0.1:1\nlogFormat: json\n").unwrap();
    let args = RunArgs { policies: policies(), listen: Some("127.0.0.1:2".into()), config: Some(path.display().to_string()), ..RunArgs::default() };
    let settings = args.clone().settle().unwrap();
    assert_eq!((settings.listen.port(), settings.json_logs), (2, true));
    std::fs::write(&path, "listne: 127.0.0.1:1\n").unwrap();
    assert!(args.settle().unwrap_err().to_string().contains("listne"));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_api_is_off_unless_it_is_asked_for_and_needs_a_certificate() {
    let settle = |args: RunArgs| RunArgs { policies: policies(), ..args }.settle();
    assert_eq!(settle(RunArgs::default()).unwrap().api, None);
    let listen = || Some("127.0.0.1:8443".to_owned());
    let problems = settle(RunArgs { api_listen: listen(), ..RunArgs::default() }).unwrap_err().0;
    assert!(problems.len() == 1 && problems[0].starts_with("--api-listen: it needs a certificate"), "{problems:?}");
    let problems = settle(RunArgs { api_certs: policies(), ..RunArgs::default() }).unwrap_err().0;
    assert!(problems[0].starts_with("--api-certs: without --api-listen"), "{problems:?}");
    let api = settle(RunArgs { api_listen: listen(), api_certs: policies(), ..RunArgs::default() }).unwrap().api.unwrap();
    assert_eq!((api.listen.port(), api.certs.is_some()), (8443, true));
    let webhook = Some("127.0.0.1:9443".to_owned());
    assert_eq!(settle(RunArgs { api_listen: listen(), webhook_listen: webhook, ..RunArgs::default() }).unwrap().api.unwrap().certs, None);
    assert!(settle(RunArgs { api_listen: Some("8443".into()), api_certs: policies(), ..RunArgs::default() }).is_err());
}

#[test]
fn the_journal_goes_to_a_file_to_standard_output_or_to_both() {
    let settle = |journal: Option<&str>, size: Option<&str>, files: Option<&str>, stdout: Option<&str>| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let args = RunArgs {
            policies: policies(),
            journal: text(journal),
            journal_size: text(size),
            journal_files: text(files),
            journal_stdout: text(stdout),
            ..RunArgs::default()
        };
        args.settle().map(|settings| settings.journal)
    };
    let file = |path: &str, size, files| Some(crate::act::journal::Kept { path: PathBuf::from(path), size, files });
    for standard in [None, Some("-")] {
        assert_eq!(settle(standard, None, None, None), Ok(Outputs { file: None, stdout: true }));
    }
    assert_eq!(settle(Some("j"), None, None, None), Ok(Outputs { file: file("j", 64 << 20, 5), stdout: false }));
    assert_eq!(settle(Some("j"), Some("1Gi"), Some("9"), Some("true")), Ok(Outputs { file: file("j", 1 << 30, 9), stdout: true }));
    for (journal, size, files, stdout) in [
        (Some("j"), Some("1Ki"), None, None),
        (Some("j"), Some("big"), None, None),
        (Some("j"), None, Some("1"), None),
        (Some("j"), None, None, Some("yes")),
        (Some(""), None, None, None),
        (None, Some("1Gi"), None, None),
        (Some("-"), None, Some("9"), None),
    ] {
        let problems = settle(journal, size, files, stdout).unwrap_err().0;
        assert!(problems.len() == 1 && problems[0].starts_with("--journal"), "{problems:?}");
    }
}

#[test]
fn figures_go_to_cloudwatch_only_for_whoever_says_so() {
    let settle = |namespace: Option<&str>, region: Option<&str>, every: Option<&str>, series: Option<&str>, regions: &str| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let args = RunArgs {
            policies: policies(),
            aws_regions: Some(regions.into()),
            cloudwatch_namespace: text(namespace),
            cloudwatch_region: text(region),
            cloudwatch_every: text(every),
            cloudwatch_series: text(series),
            ..RunArgs::default()
        };
        args.settle().map(|settings| settings.figures)
    };
    assert_eq!(settle(None, None, None, None, "us-east-1").unwrap(), None);
    let plain = settle(Some("Clonewarden"), None, None, None, "eu-west-1,us-east-1").unwrap().unwrap();
    assert_eq!((&*plain.region, plain.every.as_secs(), plain.series), ("eu-west-1", 60, 200));
    assert_eq!(&*settle(Some("Clone/warden"), Some("us-west-2"), None, None, "").unwrap().unwrap().region, "us-west-2");
    for wrong in [
        settle(None, Some("us-east-1"), None, None, "us-east-1"),
        settle(Some("Clonewarden"), None, None, None, ""),
        settle(Some("Clonewarden"), Some("Frankfurt"), None, None, ""),
        settle(Some("AWS/RDS"), None, None, None, "us-east-1"),
        settle(Some(":x"), None, None, None, "us-east-1"),
        settle(Some(""), None, None, None, "us-east-1"),
        settle(Some("Clonewarden"), None, Some("5m"), None, "us-east-1"),
        settle(Some("Clonewarden"), None, Some("0s"), None, "us-east-1"),
        settle(Some("Clonewarden"), None, None, Some("0"), "us-east-1"),
        settle(Some("Clonewarden"), None, None, Some("10001"), "us-east-1"),
    ] {
        assert!(wrong.unwrap_err().0.iter().all(|problem| problem.starts_with("--cloudwatch-")));
    }
}
