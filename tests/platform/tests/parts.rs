//! The promises of the platform itself, on the real parts.
//!
//! `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clonewarden_platform::{PartRecord, Platform};
use common::wait;

const WITHIN: Duration = Duration::from_secs(60);

/// One test at a time: what one kills another would miss.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether a process exists and is not a zombie.
fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn a_part_is_killed_stopped_and_restarted_on_its_port() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = Platform::attach().unwrap();
    platform.kubectl(&["create", "namespace", "kept"]).unwrap();
    let [stop, kill]: [fn(&Platform, &str) -> anyhow::Result<()>; 2] = [Platform::stop, Platform::kill];
    for (part, end) in [("kwok", stop), ("aws", kill), ("ack", kill), ("etcd", kill), ("kube-apiserver", kill)] {
        let before = platform.part(part).unwrap();
        end(&platform, part).unwrap();
        assert!(!runs(before.pid.unwrap()), "{part}");
        assert_eq!(platform.part(part).unwrap().pid, None, "{part}");
        platform.restart(part).unwrap();
        let after = platform.part(part).unwrap();
        assert_eq!((&after.argv, after.port), (&before.argv, before.port), "{part}");
        assert!(after.pid.is_some_and(runs), "{part}");
    }
    // What was written before a kill is still there.
    wait("the API server answers", WITHIN, || platform.kubectl(&["get", "namespace", "kept"]).map_err(|error| error.to_string()));
    let refused = platform.kill("nothing").unwrap_err().to_string();
    assert!(refused.contains("nothing"), "{refused}");
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn a_kubeconfig_acts_as_its_user_and_the_audit_log_says_so() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = Platform::attach().unwrap();
    platform.kubectl(&["create", "serviceaccount", "robot", "--namespace=default"]).unwrap();
    let robot = platform.kubeconfig_for_service_account("default", "robot").unwrap();
    let alice = platform.kubeconfig_for_user("alice@example.com").unwrap();
    let run = |kubeconfig: &PathBuf, args: &[&str]| {
        let out = Command::new(platform.program("kubectl")).arg("--kubeconfig").arg(kubeconfig).args(args).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
    };
    let (_, who) = run(&robot, &["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]);
    assert_eq!(who, "system:serviceaccount:default:robot");
    let (allowed, said) = run(&alice, &["get", "secrets", "--namespace=default"]);
    assert!(!allowed && said.contains("alice@example.com"), "{said}");
    wait("the refusal is in the audit log", WITHIN, || {
        let events = platform.audit_events().unwrap();
        let refused = events.iter().any(|event| {
            event["user"]["username"] == "alice@example.com" && event["responseStatus"]["code"] == 403 && event["objectRef"]["resource"] == "secrets"
        });
        if refused { Ok(()) } else { Err(format!("{} events", events.len())) }
    });
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_database_server_keeps_what_it_has_and_can_be_frozen() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = Platform::attach().unwrap();
    let mariadb = platform.mariadb().unwrap();
    mariadb.sql("CREATE DATABASE kept_through").unwrap();
    platform.kill("mariadb").unwrap();
    assert!(mariadb.sql("SELECT 1").unwrap_err().to_string().contains("2002"));
    platform.restart("mariadb").unwrap();
    assert_eq!(mariadb.sql("SHOW DATABASES LIKE 'kept\\_through'").unwrap().trim(), "kept_through");
    platform.freeze("mariadb").unwrap();
    assert!(mariadb.sql("SELECT 1").is_err());
    platform.thaw("mariadb").unwrap();
    wait("the server answers", WITHIN, || mariadb.sql("DROP DATABASE kept_through").map_err(|error| error.to_string()));
    // The daemon's account may make and grant what is called like a clone's schema, and nothing else.
    let password = fs::read_to_string(mariadb.credentials.join("password")).unwrap();
    let admin = |statement: &str| mariadb.sql_as("clonewarden", &password, statement);
    admin("CREATE DATABASE wp_0; CREATE USER wp_0@'%'; GRANT SELECT ON `wp\\_0`.* TO wp_0@'%'; DROP DATABASE wp_0; DROP USER wp_0@'%'").unwrap();
    for refused in ["CREATE DATABASE wpX0", "DROP DATABASE mysql", "GRANT SELECT ON *.* TO clonewarden@'%'"] {
        assert!(admin(refused).is_err(), "{refused}");
    }
}

/// Starts a platform of its own, kills the supervisor with -9, and looks for what is left.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn nothing_survives_a_supervisor_that_is_killed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mark = format!("sleep-{}", std::process::id());
    // Two shells deep: what the command starts must go as well.
    let script = "cat $CLONEWARDEN_PLATFORM/parts.json | tr -d '\\n'; echo; sh -c 'sleep 600; : '\"$0\" & echo $!; wait";
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_clonewarden-platform"))
        .args(["run", "--", "sh", "-c", script, &mark])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
    let parts: Vec<PartRecord> = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let grandchild: u32 = lines.next().unwrap().unwrap().parse().unwrap();
    let mut pids: Vec<_> = parts.iter().map(|part| part.pid.unwrap()).collect();
    pids.push(grandchild);
    assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let (_, took) = wait("every process is gone", Duration::from_secs(5), || {
        let left: Vec<_> = pids.iter().filter(|pid| runs(**pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    println!("{} processes gone {} ms after the kill", pids.len(), took.as_millis());
    let dir = parts.iter().find(|part| part.name == "etcd").unwrap().log.parent().unwrap().parent().unwrap().to_owned();
    fs::remove_dir_all(dir).unwrap();
}
