//! Room on shared hosts as a look at them shows it.

use super::*;
use crate::model::schema::{HostRoom, schema_name};

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn chosen(residents: &Residents, policies: &Policies) -> String {
    let request = create(object("newcomer", json!({})));
    let verdict = ask(&request, policies, residents);
    if verdict.refusal.is_some() {
        return message(&verdict);
    }
    patched(&request, &verdict)["spec"]["sharedDatabase"]["host"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_on_a_host_beside_the_clones_takes_up_room_there_and_a_clones_own_schema_counts_once() {
    // `one` has room for two, `two` for one.
    let policies = policies("  databases:\n  - {name: all, use: shared, hosts: [one, two]}\n");
    let clone = living(object("a", json!({"sharedDatabase": {"host": "one.example"}})), UID);
    let with = |names: &[&str]| {
        let room = HostRoom { names: names.iter().map(|name| (*name).to_owned()).collect(), lack: None };
        Residents { hosts: [("one.example:3306".to_owned(), room)].into(), ..residents(vec![Arc::clone(&clone)]) }
    };
    let own = schema_name(UID).unwrap();
    assert_eq!(chosen(&with(&[&own]), &policies), "one.example:3306");
    assert_eq!(chosen(&with(&[&own, "wp_of_a_clone_that_is_gone"]), &policies), "two.example:3307");
    assert_eq!(chosen(&with(&["wp_theirs"]), &policies), "two.example:3307");
}

#[test]
fn a_host_that_does_not_answer_is_taken_last() {
    let policies = policies("  databases:\n  - {name: all, use: shared, hosts: [one, two]}\n");
    let down = HostRoom { lack: Some("no answer".to_owned()), ..HostRoom::default() };
    let mut residents = Residents { hosts: [("one.example:3306".to_owned(), down.clone())].into(), ..Residents::default() };
    assert_eq!(chosen(&residents, &policies), "two.example:3307");
    residents.hosts.insert("two.example:3307".to_owned(), down);
    assert_eq!(chosen(&residents, &policies), "one.example:3306", "the clone may reach what the daemon does not");
}
