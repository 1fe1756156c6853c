//! The last look before a schema goes: its row says whose it is, and a row may have been written by anybody.

use super::*;
use crate::model::schema::LedgerRow;

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
/// What has the same name, and is another.
const NEAR: [&str; 2] = ["0f8fad5b-d9cb-469f-a165-708677289fff", "0f8fad5bd9cb469fa16570867728950e"];

fn schema(uid: &str) -> Schema {
    let row = LedgerRow {
        cluster: "c1".to_owned(),
        uid: uid.to_owned(),
        namespace: "n".to_owned(),
        clone: "clone-1".to_owned(),
        state: None,
        made: Timestamp::UNIX_EPOCH,
    };
    Schema { row: Some(row), ..Schema::absent(&Arc::from("h"), schema_name(UID).unwrap()) }
}

fn roll(living: &[&str], vetoes: Vec<OrphanRecord>) -> Roll {
    Roll { called: Instant::now(), uids: living.iter().map(|uid| (*uid).to_owned()).collect(), vetoes, claims: Some(Vec::new()) }
}

#[test]
fn no_schema_goes_that_a_living_clone_needs_whatever_its_row_says() {
    assert_eq!(roll(&["1f8fad5b-d9cb-469f-a165-70867728950e"], vec![]).of_schema(&schema(UID)), Ok(()));
    assert!(said(roll(&[UID], vec![]).of_schema(&schema(UID))).contains("lives"));
    assert!(said(roll(&[], vec![]).of_schema(&schema(""))).contains("lives"));
    for uid in NEAR {
        assert_eq!(schema_name(uid), schema_name(UID), "{uid}");
        assert!(said(roll(&[UID], vec![]).of_schema(&schema(uid))).contains("whose schema it is"), "{uid}");
    }
}

#[test]
fn a_veto_on_a_schema_is_a_wall_although_the_watch_has_not_brought_it() {
    let orphan = |name: &str| {
        let object = json!({
            "metadata": {"name": "o", "uid": "o", "resourceVersion": "1", "creationTimestamp": "2026-02-05T10:00:00Z",
                         "annotations": {names::KEEP: "true"}},
            "spec": {"target": {"kind": "Schema", "provider": "mysql", "host": "h", "name": name}},
        });
        OrphanRecord::read(&object).unwrap()
    };
    let name = schema_name(UID).unwrap();
    assert!(said(roll(&[], vec![orphan(&name)]).of_schema(&schema(UID))).contains("somebody keeps it"));
    assert_eq!(roll(&[], vec![orphan("wp_ffffffffffffffffffffffffffff")]).of_schema(&schema(UID)), Ok(()));
}
