//! Who extends a clone past its ceiling is told where that is, in a form that the command line reads.

use super::*;

#[test]
fn who_extends_past_the_ceiling_is_told_where_it_is() {
    let mut old = object("clone-1", json!({"ttlSeconds": 7200}));
    old["metadata"]["uid"] = json!("u");
    old["metadata"]["creationTimestamp"] = json!("2026-02-05T14:30:22Z");
    let extend = |until: &str| update(old.clone(), |object| object["metadata"]["annotations"] = json!({names::EXTEND_UNTIL: until}));
    let ceiling: jiff::Timestamp = "2026-02-05T18:30:22Z".parse().unwrap();
    for (mode, begin) in
        [("enforce", "`clonewarden.io/extend-until` is past"), ("audit", "clonewarden (audit): would say: `clonewarden.io/extend-until`")]
    {
        let policies = policies_in(mode, "  ttl: {maximum: 4h}\n");
        let warnings = |request: &Request| alone(request, &policies).warnings;
        let told = warnings(&extend("2026-02-06T00:00:00Z"));
        assert_eq!(told.iter().map(|told| ceiling_of(told)).collect::<Vec<_>>(), [Some(ceiling)], "{told:?}");
        assert!(told[0].starts_with(begin) && told[0].contains("staging.yaml:"), "{told:?}");
        assert_eq!(warnings(&extend("2026-02-05T18:30:22Z")), [] as [String; 0], "up to the ceiling all is well");
        // Whoever changes something else is not told again.
        let mut far = old.clone();
        far["metadata"]["annotations"] = json!({names::EXTEND_UNTIL: "2026-02-06T00:00:00Z"});
        let other = update(far, |object| object["metadata"]["annotations"][names::KEEP] = json!("true"));
        assert_eq!(warnings(&other), [] as [String; 0]);
    }
    assert_eq!(ceiling_of("`spec.ttlSeconds` is lowered"), None);
}
