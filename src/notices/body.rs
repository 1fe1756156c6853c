//! What is sent: the body of a message for Slack, or for a service.
//!
//! Contract: a body is JSON, written by `serde_json` as a whole or checked to parse; what an object is called can break out of nothing.

use super::{
    config::{Kind, Receiver},
    desk::{Digest, Message},
    notice::Notice,
    template::slack,
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
}

/// A message as this receiver gets it. `lost`: how many before it could not be sent.
///
/// # Errors
/// The receiver's template cannot make anything of it.
pub(super) fn letter(receiver: &Receiver, owners: &BTreeMap<String, String>, message: &Message, lost: u64) -> Result<Letter, String> {
    let id = match message {
        Message::One(notice) => notice.id.clone(),
        Message::Digest(many) => {
            let first = many.first.iter().map(|notice| notice.id.as_str());
            digest(&first.chain([many.count.to_string().as_str()]).collect::<Vec<_>>())
        }
    };
    let template = match message {
        Message::One(_) => receiver.template.as_ref(),
        Message::Digest(_) => receiver.digest_template.as_ref(),
    };
    let made = template.map(|template| template.render(context(message, owners, receiver.kind, lost))).transpose()?;
    let body = match (receiver.kind, made) {
        (Kind::Webhook, Some(body)) => body,
        (Kind::Webhook, None) => plain(&id, message, lost).to_string(),
        (Kind::Slack, made) => {
            let text = made.unwrap_or_else(|| for_slack(message, owners, lost));
            // Nothing that a text names is looked up and shown in the channel.
            json!({"text": shortened(text), "mrkdwn": true, "unfurl_links": false, "unfurl_media": false}).to_string()
        }
    };
    Ok(Letter { id, body })
}

/// One notice of each sort, and a digest of them: what templates are tried on.
pub(super) fn samples(kind: Kind) -> ([Any; 2], [Any; 2]) {
    let clone = super::sample();
    let paused = Notice::of(&Line::new("paused", jiff::Timestamp::UNIX_EPOCH));
    let all: Vec<Arc<Notice>> = [Some(clone), paused].into_iter().flatten().map(Arc::new).collect();
    let owners = BTreeMap::new();
    let one = |place: usize| all.get(place).map_or_else(Any::default, |notice| context(&Message::One(Arc::clone(notice)), &owners, kind, 0));
    let many = |lost| {
        let codes = all.iter().map(|notice| (notice.code.clone(), 1)).collect();
        context(&Message::Digest(Digest { count: all.len() as u64, codes, first: all.clone() }), &owners, kind, lost)
    };
    ([one(0), one(1)], [many(0), many(3)])
}

/// What a template may use. Every field is there in every case; what is not known is empty.
fn context(message: &Message, owners: &BTreeMap<String, String>, kind: Kind, lost: u64) -> Any {
    let fields: BTreeMap<&str, Any> = match message {
        Message::One(notice) => {
            let mut fields = of_one(notice, owners, kind);
            fields.insert("lost", Any::from(lost));
            fields
        }
        Message::Digest(many) => BTreeMap::from([
            ("count", Any::from(many.count)),
            ("lost", Any::from(lost)),
            ("codes", Any::from(Serde(&many.codes))),
            ("text", Any::from(digest_text(many))),
            ("notices", many.first.iter().map(|notice| Any::from_pairs(of_one(notice, owners, kind))).collect()),
        ]),
    };
    Any::from_pairs(fields)
}

fn of_one(notice: &Notice, owners: &BTreeMap<String, String>, kind: Kind) -> BTreeMap<&'static str, Any> {
    let line = &notice.line;
    let text = |text: Option<&str>| Any::from(text.unwrap_or_default());
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
        ("target", Any::from(notice.target())),
        ("owner", text(notice.owner())),
        ("mention", mention(notice, owners, kind)),
        ("message", text(line.reason.as_ref().map(|reason| reason.message.as_str()))),
        ("facts", Any::from(Serde(line.reason.as_ref().map_or(&line.facts, |reason| &reason.facts)))),
        ("saved", text(notice.saved().as_deref())),
        ("detail", text(line.detail.as_deref())),
        ("text", Any::from(notice.text())),
    ])
}

/// How the owner is called in Slack, if the file says that; there it is a mention, elsewhere a text.
fn mention(notice: &Notice, owners: &BTreeMap<String, String>, kind: Kind) -> Any {
    let member = notice.owner().and_then(|owner| owners.get(owner));
    match (member, kind) {
        (Some(member), Kind::Slack) => Any::from_safe_string(format!("<@{member}>")),
        (Some(member), Kind::Webhook) => Any::from(member.as_str()),
        (None, _) => Any::from(""),
    }
}

fn for_slack(message: &Message, owners: &BTreeMap<String, String>, lost: u64) -> String {
    let text = match message {
        Message::One(notice) => {
            let mention = mention(notice, owners, Kind::Slack);
            let space = if mention.as_str().is_none_or(str::is_empty) { "" } else { " " };
            format!("*{}* {mention}{space}{}", notice.severity.word(), slack(&notice.text()))
        }
        Message::Digest(many) => slack(&digest_text(many)),
    };
    format!("{text}{}", lost_text(lost))
}

/// A digest in words: how many, of what, and the first of them.
fn digest_text(many: &Digest) -> String {
    let codes: Vec<String> = many.codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let mut text = format!("{} notices: {}", many.count, codes.join(", "));
    for notice in &many.first {
        text.push_str("\n• ");
        text.push_str(&notice.text());
    }
    let more = many.count.saturating_sub(many.first.len() as u64);
    if more > 0 {
        text.push_str(&format!("\nand {more} more: see `clonewarden journal`"));
    }
    text
}

fn lost_text(lost: u64) -> String {
    if lost == 0 { String::new() } else { format!("\n({lost} before this could not be sent; the journal has them)") }
}

/// What a service gets without a template.
fn plain(id: &str, message: &Message, lost: u64) -> Value {
    match message {
        Message::One(notice) => {
            let head = [("version", json!(1)), ("kind", json!("notice")), ("lost", json!(lost))].map(|(key, value)| (key.to_owned(), value));
            Value::Object(head.into_iter().chain(of_service(notice)).collect())
        }
        Message::Digest(many) => json!({
            "version": 1,
            "kind": "digest",
            "id": id,
            "lost": lost,
            "count": many.count,
            "codes": many.codes,
            "text": digest_text(many),
            "notices": many.first.iter().map(|notice| of_service(notice)).collect::<Vec<_>>(),
        }),
    }
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

fn shortened(text: String) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::line, *};

    fn one(name: &str) -> Message {
        Message::One(Arc::new(Notice::of(&line("acted", "delete", Some("done"), "Expired", name, "ada@example.com")).unwrap()))
    }

    fn sent(kind: Kind, template: Option<&str>, message: &Message, lost: u64) -> Value {
        let owners = BTreeMap::from([("ada@example.com".to_owned(), "U123".to_owned())]);
        let receiver = Receiver::for_test("r", kind, template);
        serde_json::from_str(&letter(&receiver, &owners, message, lost).unwrap().body).unwrap()
    }

    #[test]
    fn slack_sees_no_mention_but_the_configured_one() {
        let text = sent(Kind::Slack, None, &one("<!channel>&"), 0)["text"].as_str().unwrap().to_owned();
        assert_eq!(text, "*info* <@U123> staging/&lt;!channel&gt;&amp; deleted: Expired: its end has passed");
        let made = sent(Kind::Slack, Some("{{ mention }} {{ name }} {{ owner }}"), &one("<!here>"), 0);
        assert_eq!(made["text"], "<@U123> &lt;!here&gt; ada@example.com");
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
        let Message::One(first) = one("a") else { panic!() };
        let many = Message::Digest(Digest { count: 500, codes: [("Expired".to_owned(), 500)].into(), first: vec![first] });
        let text = sent(Kind::Slack, None, &many, 7)["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("500 notices: 500 Expired\n• staging/a deleted"), "{text}");
        assert!(text.contains("and 499 more") && text.ends_with("(7 before this could not be sent; the journal has them)"), "{text}");
        assert_eq!(sent(Kind::Webhook, None, &many, 7)["count"], 500);
    }

    #[test]
    fn a_text_without_end_is_cut() {
        assert_eq!(shortened("ü".repeat(LONGEST + 5)).chars().count(), LONGEST + 1);
    }
}
