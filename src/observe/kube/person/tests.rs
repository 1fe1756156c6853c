use super::{
    super::fake::{Answer, Fake, failure},
    *,
};

fn scope(subject: Subject) -> Scope {
    Scope { subject, namespace: Some("a".to_owned()), label: Some("k=v".to_owned()), field: None }
}

#[tokio::test]
async fn a_person_asks_within_a_namespace() {
    let page =
        |next: &str| Answer::Json(200, json!({"metadata": {"resourceVersion": "9", "continue": next}, "items": [{"metadata": {"name": "x"}}]}));
    let (person, fake) = Fake::person([page("c"), page("")]);
    let list = person.list(&scope(Subject::Objects(Kind::Pod))).await.unwrap();
    assert_eq!((list.items.len(), list.version.as_str()), (2, "9"));
    let path = "GET /api/v1/namespaces/a/pods?limit=500&labelSelector=k%3Dv";
    assert_eq!(fake.lines(), [path.to_owned(), format!("{path}&continue=c")]);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_server_s_words() {
    let words = "admission webhook \"mutate.clonewarden.io\" denied the request: LimitReached: ".to_owned() + &"x".repeat(400);
    let (person, _) = Fake::person([failure(403, "Forbidden", &words, json!({}))]);
    let problem = person.create(json!({}), Run::Real).await.unwrap_err();
    assert_eq!(problem.words(), words);
    let (person, _) = Fake::person([failure(409, "AlreadyExists", "there", json!({})), failure(409, "Conflict", "changed", json!({}))]);
    assert!(person.create(json!({}), Run::Real).await.unwrap_err().is_already_there());
    assert!(!person.create(json!({}), Run::Real).await.unwrap_err().is_already_there());
}

#[tokio::test]
async fn warnings_are_kept_until_somebody_takes_them() {
    let (person, fake) = Fake::person([Answer::Warned(vec![r#"299 - "one: \"two\" \\ three""#, "299 - \"cut off", "199 - \"other\""])]);
    person.create(json!({}), Run::Dry).await.unwrap();
    assert_eq!(person.warnings(), [r#"one: "two" \ three"#]);
    assert_eq!(person.warnings(), [] as [String; 0]);
    assert!(fake.lines()[0].contains("dryRun=All"), "{:?}", fake.lines());
}

#[tokio::test]
async fn a_change_carries_what_was_seen() {
    let (person, fake) = Fake::person([Answer::Json(200, json!({})), Answer::Json(200, json!({}))]);
    let pin = Pin { kind: Kind::Clone, namespace: "a".into(), name: "c".into(), uid: "u".into(), resource_version: "7".into() };
    person.annotate(&pin, &BTreeMap::from([("k", None)]), Run::Real).await.unwrap();
    assert_eq!(fake.asked()[0].body, json!({"metadata": {"uid": "u", "resourceVersion": "7", "annotations": {"k": null}}}));
    person.annotate(&pin, &BTreeMap::from([("k", None)]), Run::Dry).await.unwrap();
    assert_eq!(fake.asked()[1].body, json!({"metadata": {"uid": "u", "annotations": {"k": null}}}));
}
