//! What is sent: the body of a message for Slack, or for a service.
//!
//! Contract: a body is JSON, written by `serde_json` as a whole or checked to parse; what an object is called can break out of nothing. A
//! template that makes nothing of a message keeps nobody from hearing of it: then it is said in our own words, and that it was so.

use super::{
    config::{Kind, Receiver},
    counts::Lost,
    message::Message,
    notice::{Notice, Severity},
    text::{chat, visible},
};
use crate::{model::journal::Line, plan::decision::digest};
use minijinja::value::{Serde, Value as Any};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The longest text for Slack, which takes 40,000 characters.
const LONGEST: usize = 8_000;

/// A message as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// The same for a repeat of the same message.
    pub(super) id: String,
    /// JSON.
    pub(super) body: String,
    /// Why the receiver's template was not used, if it has one that could not be.
    pub(super) problem: Option<String>,
    /// Whether a template made it.
    pub(super) by_template: bool,
    /// Whether it tells of what was lost before it.
    pub(super) tells_lost: bool,
}

/// A message as this receiver gets it. `lost`: what before it could not be sent; `refused`: how the receiver refused what its template made.
pub(super) fn letter(receiver: &Receiver, owners: &BTreeMap<String, String>, message: &Message, lost: &Lost, refused: Option<&str>) -> Letter {
    let (id, template) = match message.alone() {
        Some(notice) => (notice.id.clone(), receiver.template.as_ref()),
        None => {
            let first = message.first.iter().map(|notice| notice.id.as_str());
            (digest(&first.chain([message.count.to_string().as_str()]).collect::<Vec<_>>()), receiver.digest_template.as_ref())
        }
    };
    let made = match refused {
        Some(refused) => Err(format!("the receiver does not take what it makes: {refused}")),
        None => template.map(|template| template.render(context(message, owners, receiver.kind, lost))).transpose(),
    };
    let (made, problem) = made.map_or_else(|problem| (None, Some(visible(&problem))), |made| (made, None));
    let by_template = made.is_some();
    let by_its_own = by_template && template.is_some_and(|template| template.uses("lostCritical"));
    let body = match (receiver.kind, made) {
        (Kind::Webhook, Some(body)) => body,
        (Kind::Webhook, None) => plain(&id, message, lost, problem.as_deref()).to_string(),
        (Kind::Slack, made) => {
            let remarks = if by_its_own { String::new() } else { remarks(lost, problem.as_deref()) };
            let text = made.unwrap_or_else(|| for_slack(message, owners));
            // Nothing that a text names is looked up and shown in the channel, and nobody is found by a bare name.
            json!({"text": shortened(text, &remarks), "mrkdwn": true, "link_names": false, "unfurl_links": false, "unfurl_media": false}).to_string()
        }
    };
    // A document that its template makes has no place for what that does not name: it waits for one that tells it.
    let tells_lost = by_its_own || !by_template || receiver.kind == Kind::Slack;
    Letter { id, body, problem, by_template, tells_lost }
}

/// One notice of each sort, and a digest of them: what templates are tried on.
pub(super) fn samples(kind: Kind) -> ([Any; 2], [Any; 2]) {
    let clone = super::sample();
    let paused = Notice::of(&Line::new("paused", jiff::Timestamp::UNIX_EPOCH));
    let all: Vec<Arc<Notice>> = [Some(clone), paused].into_iter().flatten().map(Arc::new).collect();
    let (owners, none) = (BTreeMap::new(), Lost::default());
    let some = Lost { count: 3, critical: vec!["an example".to_owned()], ..Lost::default() };
    let one = |place: usize, lost| all.get(place).map_or_else(Any::default, |notice| context(&Message::of(Arc::clone(notice)), &owners, kind, lost));
    let many = |lost| {
        let mut digest = Message::default();
        all.iter().for_each(|notice| digest.add(Arc::clone(notice)));
        context(&digest, &owners, kind, lost)
    };
    ([one(0, &none), one(1, &some)], [many(&none), many(&some)])
}

/// What a template may use. Every field is there in every case; what is not known is empty.
fn context(message: &Message, owners: &BTreeMap<String, String>, kind: Kind, lost: &Lost) -> Any {
    let mut fields: BTreeMap<&str, Any> = match message.alone() {
        Some(notice) => of_one(notice, owners, kind),
        None => BTreeMap::from([
            ("count", Any::from(message.count)),
            ("severity", Any::from(message.severity().word())),
            ("leftOut", Any::from(message.left_out().0)),
            ("codes", Any::from(Serde(&message.codes))),
            ("text", Any::from(digest_text(message, Notice::text))),
            ("notices", message.first.iter().map(|notice| Any::from_pairs(of_one(notice, owners, kind))).collect()),
        ]),
    };
    fields.insert("lost", Any::from(lost.count));
    fields.insert("lostCritical", lost.critical.iter().map(String::as_str).collect());
    Any::from_pairs(fields)
}

fn of_one(notice: &Notice, owners: &BTreeMap<String, String>, kind: Kind) -> BTreeMap<&'static str, Any> {
    let line = &notice.line;
    let text = |text: Option<&str>| Any::from(visible(text.unwrap_or_default()));
    let name = ["name", "id"].into_iter().map(|field| line.target(field)).find(|name| !name.is_empty());
    BTreeMap::from([
        ("id", Any::from(notice.id.as_str())),
        ("time", Any::from(line.time.to_string())),
        ("severity", Any::from(notice.severity.word())),
        ("event", Any::from(line.event.as_str())),
        ("code", Any::from(notice.code.as_str())),
        ("action", text(line.action.as_deref())),
        ("outcome", text(line.outcome.as_deref())),
        ("blockedBy", text(line.blocked_by.as_deref())),
        ("policy", text(line.policy.as_deref())),
        ("kind", text(Some(line.target("kind")))),
        ("namespace", text(notice.namespace())),
        ("name", text(name)),
        ("target", text(Some(&notice.target()))),
        ("owner", text(notice.owner())),
        ("mention", mention(notice, owners, kind)),
        ("message", text(line.reason.as_ref().map(|reason| reason.message.as_str()))),
        ("facts", Any::from(Serde(line.reason.as_ref().map_or(&line.facts, |reason| &reason.facts)))),
        ("saved", text(notice.saved().as_deref())),
        ("detail", text(line.detail.as_deref())),
        ("text", Any::from(notice.text())),
    ])
}

/// How the owner is called in Slack, if the file says that and the owner is no mere claim; there it is a mention, elsewhere a text.
fn mention(notice: &Notice, owners: &BTreeMap<String, String>, kind: Kind) -> Any {
    let member = notice.proven_owner().and_then(|owner| owners.get(owner));
    match (member, kind) {
        (Some(member), Kind::Slack) => Any::from_safe_string(format!("<@{member}>")),
        (Some(member), Kind::Webhook) => Any::from(member.as_str()),
        (None, _) => Any::from(""),
    }
}

fn for_slack(message: &Message, owners: &BTreeMap<String, String>) -> String {
    let safe = |notice: &Notice| chat(&notice.text());
    match message.alone() {
        Some(notice) => {
            let mention = mention(notice, owners, Kind::Slack);
            let space = if mention.as_str().is_none_or(str::is_empty) { "" } else { " " };
            format!("*{}* {mention}{space}{}", notice.severity.word(), safe(notice))
        }
        None => digest_text(message, safe),
    }
}

/// What is said below a text: what was lost before it, and why it is in these words.
fn remarks(lost: &Lost, problem: Option<&str>) -> String {
    let mut text = String::new();
    if lost.count > 0 {
        text.push_str(&format!("\n({} before this could not be sent; the journal has them)", lost.count));
    }
    lost.critical.iter().for_each(|critical| text.push_str(&format!("\n• lost: {}", chat(critical))));
    problem.into_iter().for_each(|problem| text.push_str(&format!("\n(the template makes nothing of it: {})", chat(problem))));
    text
}

/// A digest in words: how many, of what, and the first of them, each as `said`.
fn digest_text(many: &Message, said: impl Fn(&Notice) -> String) -> String {
    let codes: Vec<String> = many.codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let critical = many.severities.get(&Severity::Critical).map(|count| format!(" ({count} critical)")).unwrap_or_default();
    let mut text = format!("{} notices{critical}: {}", many.count, codes.join(", "));
    for notice in &many.first {
        let critical = if notice.severity == Severity::Critical { "critical: " } else { "" };
        text.push_str(&format!("\n• {critical}{}", said(notice)));
    }
    match many.left_out() {
        (0, _) => {}
        (more, 0) => text.push_str(&format!("\nand {more} more: see `clonewarden journal`")),
        (more, critical) => text.push_str(&format!("\nand {more} more, {critical} of them critical: see `clonewarden journal`")),
    }
    text
}

/// What a service gets without a template.
fn plain(id: &str, message: &Message, lost: &Lost, problem: Option<&str>) -> Value {
    let said = match message.alone() {
        Some(notice) => [("kind".to_owned(), json!("notice"))].into_iter().chain(of_service(notice)).collect(),
        None => json!({
            "kind": "digest",
            "id": id,
            "severity": message.severity().word(),
            "count": message.count,
            "leftOut": message.left_out().0,
            "codes": message.codes,
            "text": digest_text(message, Notice::text),
            "notices": message.first.iter().map(|notice| of_service(notice)).collect::<Vec<_>>(),
        }),
    };
    let mut head = Map::from_iter([("version".to_owned(), json!(1)), ("lost".to_owned(), json!(lost.count))]);
    head.extend((!lost.critical.is_empty()).then(|| ("lostCritical".to_owned(), json!(lost.critical))));
    head.extend(problem.map(|problem| ("templateProblem".to_owned(), json!(problem))));
    if let Value::Object(said) = said {
        head.extend(said);
    }
    Value::Object(head)
}

fn of_service(notice: &Notice) -> Map<String, Value> {
    let fields = [
        ("id", json!(notice.id)),
        ("severity", json!(notice.severity.word())),
        ("code", json!(notice.code)),
        ("text", json!(notice.text())),
        ("owner", json!(notice.owner())),
        ("namespace", json!(notice.namespace())),
        ("line", json!(notice.line)),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A text that a chat takes, with what stands below it: that is not what is cut.
fn shortened(text: String, below: &str) -> String {
    let cut = |text: &str, longest: usize| match text.char_indices().nth(longest) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    };
    let below = cut(below, LONGEST / 2);
    cut(&text, LONGEST.saturating_sub(below.chars().count())) + &below
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            notice::tests::line,
            template::{Makes, Template},
        },
        *,
    };

    fn notice(name: &str) -> Arc<Notice> {
        Arc::new(Notice::of(&line("acted", "delete", Some("done"), "Expired", name, "ada@example.com")).unwrap())
    }

    fn one(name: &str) -> Message {
        Message::of(notice(name))
    }

    fn sent(kind: Kind, template: Option<&str>, message: &Message, lost: u64) -> Value {
        let owners = BTreeMap::from([("ada@example.com".to_owned(), "U123".to_owned())]);
        let receiver = Receiver::for_test("r", kind, template);
        serde_json::from_str(&letter(&receiver, &owners, message, &Lost { count: lost, ..Lost::default() }, None).body).unwrap()
    }

    #[test]
    fn slack_sees_no_mention_but_the_configured_one() {
        let text = sent(Kind::Slack, None, &one("<!channel>&"), 0)["text"].as_str().unwrap().to_owned();
        assert_eq!(text, "*info* <@U123> staging/&lt;!channel&gt;&amp; deleted: Expired: its end has passed");
        let made = sent(Kind::Slack, Some("{{ mention }} {{ name }} {{ owner }}"), &one("<!here>"), 0);
        assert_eq!(made["text"], "<@U123> &lt;!here&gt; ada@\u{200b}example.com");
        assert_eq!(made["unfurl_links"], false);
    }

    #[test]
    fn a_service_gets_the_line_or_what_its_template_makes() {
        let body = sent(Kind::Webhook, None, &one("clone-1"), 2);
        assert_eq!(
            (&body["kind"], &body["lost"], &body["code"], &body["owner"]),
            (&json!("notice"), &json!(2), &json!("Expired"), &json!("ada@example.com"))
        );
        assert_eq!(body["line"]["reason"]["message"], "its end has passed");
        assert_eq!(body["id"], body["line"]["id"], "the journal has it under the same id");
        let made = sent(Kind::Webhook, Some(r#"{"summary": {{ text }}, "who": {{ mention }}}"#), &one("\"},{\""), 0);
        assert_eq!(made["who"], "U123");
        assert!(made["summary"].as_str().unwrap().contains("\"},{\""));
    }

    #[test]
    fn a_digest_counts_and_names_the_first_and_says_what_is_lost() {
        let mut many = Message::default();
        for number in 0..500 {
            many.add(notice(&number.to_string()));
        }
        let text = sent(Kind::Slack, None, &many, 7)["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("500 notices: 500 Expired\n• staging/0 deleted"), "{text}");
        assert!(text.contains("and 490 more") && text.ends_with("(7 before this could not be sent; the journal has them)"), "{text}");
        assert_eq!(sent(Kind::Webhook, None, &many, 7)["count"], 500);
    }

    #[test]
    fn a_text_without_end_is_cut() {
        assert_eq!(shortened("ü".repeat(LONGEST + 5), "").chars().count(), LONGEST + 1);
        let long = shortened("ü".repeat(LONGEST + 5), "lost");
        assert!(long.chars().count() == LONGEST + 1 && long.ends_with("…lost"), "what is below stays");
    }

    #[test]
    fn a_digest_names_what_is_critical_first_and_says_how_many_it_leaves_out() {
        let critical = |number: u64| Notice::of(&line("decided", "alert", None, "BrakeOn", &format!("brake-{number}"), "ada")).unwrap();
        let mut many = Message::default();
        for number in 0..30 {
            many.add(notice(&number.to_string()));
        }
        (0..12).for_each(|number| many.add(Arc::new(critical(number))));
        let text = sent(Kind::Slack, None, &many, 0)["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("42 notices (12 critical): 12 BrakeOn, 30 Expired\n• critical: staging/brake-0"), "{text}");
        assert!(text.ends_with("and 32 more, 2 of them critical: see `clonewarden journal`"), "{text}");
        let body = sent(Kind::Webhook, None, &many, 0);
        assert_eq!((&body["severity"], &body["leftOut"], &body["notices"][9]["severity"]), (&json!("critical"), &json!(32), &json!("critical")));
    }

    #[test]
    fn names_that_bite_do_so_in_no_chat_however_they_get_there() {
        let bites = "x`](https://evil)![p](http://e/p) @all <!here> \u{202e}";
        let mut notice = (*notice("a")).clone();
        let told = notice.line.reason.as_mut().unwrap();
        told.message = format!("`{bites}` is in the way");
        notice.line.target.insert("name".to_owned(), json!(bites));
        notice.line.clone.as_mut().unwrap().owner = Some(bites.to_owned());
        notice.line.detail = Some(bites.to_owned());
        let message = Message::of(Arc::new(notice.clone()));
        let mut many = Message::default();
        many.add(Arc::new(notice.clone()));
        many.add(Arc::new(notice));
        let template = "`{{ name }}` {{ owner }} {{ text }} {{ message }} {{ target }} {{ detail }} {{ lostCritical }}";
        let lost = Lost { count: 1, critical: vec![bites.to_owned()], ..Lost::default() };
        for (template, message) in [(None, &message), (Some(template), &message), (None, &many)] {
            let body = letter(&Receiver::for_test("r", Kind::Slack, template), &BTreeMap::new(), message, &lost, None).body;
            let text = serde_json::from_str::<Value>(&body).unwrap()["text"].as_str().unwrap().to_owned();
            assert!(text.contains("evil"), "{text}");
            for bite in ["](", "://", "@all", "<!", "\u{202e}", "``"] {
                assert!(!text.contains(bite), "{bite:?} is in {text}");
            }
        }
        let text = sent(Kind::Webhook, None, &message, 0)["text"].as_str().unwrap().to_owned();
        assert!(text.contains("@all <!here> ⟨U+202E⟩"), "{text}");
    }

    #[test]
    fn what_is_lost_is_named_and_a_template_that_fails_loses_nothing() {
        let lost = Lost { count: 3, critical: vec!["staging/a needs a look: BrakeOn: @all".to_owned()], ..Lost::default() };
        // It works for the samples, and not for what has no cost.
        for (kind, template) in [(Kind::Slack, "{{ saved[1] }}{{ text }}"), (Kind::Webhook, r#"{"usd": {{ saved[1] }}, "n": {{ saved | length }}}"#)]
        {
            let mut receiver = Receiver::for_test("r", kind, None);
            receiver.template = Some(Template::new(template, if kind == Kind::Slack { Makes::SlackText } else { Makes::Json }, &[]).unwrap());
            let letter = letter(&receiver, &BTreeMap::new(), &one("a"), &lost, None);
            let problem = letter.problem.unwrap();
            assert!(problem.starts_with("line 1"), "{problem}");
            let body: Value = serde_json::from_str(&letter.body).unwrap();
            let text = body["text"].as_str().unwrap();
            assert!(text.contains("staging/a deleted: Expired"), "{text}");
            match kind {
                Kind::Slack => assert!(
                    text.contains("(3 before this")
                        && text.contains("\n• lost: staging/a needs a look: BrakeOn: @\u{200b}all\n(the template makes nothing of it: line 1"),
                    "{text}"
                ),
                Kind::Webhook => {
                    assert_eq!((&body["lost"], &body["lostCritical"], &body["templateProblem"]), (&json!(3), &json!(lost.critical), &json!(problem)))
                }
            }
        }
    }

    #[test]
    fn a_template_without_a_place_for_what_is_lost_hides_none_of_it() {
        let lost = Lost { count: 1, critical: vec!["BrakeOn".to_owned()], ..Lost::default() };
        let of = |kind, template, refused| letter(&Receiver::for_test("r", kind, Some(template)), &BTreeMap::new(), &one("a"), &lost, refused);
        let slack = of(Kind::Slack, "{{ text }}", None);
        assert!(slack.tells_lost && slack.body.contains("lost: BrakeOn"), "{}", slack.body);
        let own = of(Kind::Slack, "{{ text }} {{ lostCritical }}", None);
        assert!(own.tells_lost && own.body.matches("BrakeOn").count() == 1, "{}", own.body);
        let document = r#"{"text": {{ text }}}"#;
        assert!(!of(Kind::Webhook, document, None).tells_lost, "it is told by a later message");
        assert!(of(Kind::Webhook, r#"{"text": {{ text }}, "lost": {{ lostCritical }}}"#, None).tells_lost);
        // What the receiver does not take is put in other words.
        let refused = of(Kind::Webhook, document, Some("HTTP 400"));
        assert!(!refused.by_template && refused.tells_lost && refused.body.contains("HTTP 400"), "{}", refused.body);
    }

    #[test]
    fn an_owner_who_is_only_claimed_is_not_mentioned() {
        let mut notice = (*notice("a")).clone();
        notice.line.clone.as_mut().unwrap().admitted = None;
        let text = sent(Kind::Slack, Some("{{ mention }}{{ owner }}"), &Message::of(Arc::new(notice)), 0)["text"].clone();
        assert_eq!(text, "ada@\u{200b}example.com");
    }
}
