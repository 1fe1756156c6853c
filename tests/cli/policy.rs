//! `policy lint`: what it warns of, and what only it finds.

use super::Place;

#[test]
fn lint_warns_of_what_is_no_problem_and_yet_no_intention() {
    let place = Place::new();
    let lint = || place.run(&["policy", "lint", "policies"]);
    place.write("policies/prices.yaml", "");
    place.write("policies/notes.yaml", "# later\n");
    let ran = lint();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in ["notes", "prices"] {
        assert!(ran.err.contains(&format!("warning: {name}.yaml: the file holds nothing")), "{ran:?}");
    }
    let book = |date: &str, usd: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {{name: ours}}\nspec:\n  region: us-east-1\n  tables:\n  \
             - {{of: eks, asOf: {date}, source: \"https://example.com\", usd: {{control-plane: {usd}}}}}\n"
        )
    };
    place.remove("policies/notes.yaml");
    place.write("policies/prices.yaml", book("2020-01-01", "0"));
    let ran = lint();
    assert_eq!((ran.code, ran.err.lines().count()), (Some(0), 1), "{ran:?}");
    assert!(ran.err.contains("warning: prices.yaml:7: `control-plane` costs nothing"), "{ran:?}");
    place.write("policies/prices.yaml", book("9000-01-01", "0.1"));
    lint().refused(1, &["prices.yaml:7: `control-plane` is dated 9000-01-01, which lies ahead", "asOf"]);
}
