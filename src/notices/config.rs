//! The file that says who is told what: receivers, routes, and how much at once.
//!
//! Contract: everything that is wrong with it is said at once. It holds no secret: addresses and headers stand in files of their own, which
//! are read again for every message.

use super::{
    body,
    desk::Pace,
    notice::{Notice, Severity},
    template::{Makes, Template},
};
use crate::{model::Span, post};
use http::{HeaderName, HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How many receivers there may be: each has a queue, a task, and series of its own.
const MOST: usize = 32;
/// The largest file, and the largest that holds an address or a header.
const LARGEST: u64 = 256 << 10;

/// From this length on a word of a header may be a secret; `Bearer` is, by that, too, and nobody misses it.
const SHORTEST_SECRET: usize = 4;

/// The file, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct File {
    /// Who can be told.
    receivers: Vec<ReceiverForm>,
    /// Who is told what: the first route that matches.
    #[serde(default)]
    routes: Vec<Route>,
    /// Who is told what no route matches.
    #[serde(default)]
    default: Vec<String>,
    /// When many messages become one.
    #[serde(default)]
    digest: DigestForm,
    /// How long the same is not told again, such as 24h (the default).
    repeat: Option<String>,
    /// The Slack member ids of owners, by which they are mentioned.
    #[serde(default)]
    owners: BTreeMap<String, String>,
}

/// One receiver, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReceiverForm {
    /// Its name, in routes, logs and metrics: lower-case letters, digits and `-`.
    name: String,
    /// What it understands.
    kind: Kind,
    /// The file that holds its address.
    url_file: PathBuf,
    /// Headers, and the files that hold what they say.
    #[serde(default)]
    header_files: BTreeMap<String, PathBuf>,
    /// What one message is (Jinja); for `webhook`, JSON.
    #[schemars(with = "Option<String>")]
    template: Option<Spanned<String>>,
    /// What a digest is (Jinja); for `webhook`, JSON.
    #[schemars(with = "Option<String>")]
    digest_template: Option<Spanned<String>>,
    /// The certificates (PEM) by which it is trusted, where it is not those of the machine.
    ca_file: Option<PathBuf>,
    /// Allows an address that is not https.
    #[serde(default)]
    insecure: bool,
}

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What Slack's incoming webhooks take, and all that are like them.
    Slack,
    /// Any service that takes JSON.
    Webhook,
}

/// Which notices go to whom. What is not said matches everything; `*` stands for any text.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Route {
    /// Whose clone it is.
    owners: Vec<String>,
    /// Where it is.
    namespaces: Vec<String>,
    /// The policy that governs it.
    policies: Vec<String>,
    /// The reason code, or the word of the journal where it is no decision.
    codes: Vec<String>,
    /// How urgent it is at least.
    severity: Severity,
    /// The receivers; none: nobody is told.
    to: Vec<String>,
}

/// When many messages become one, as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct DigestForm {
    /// The time in which messages are counted: from 1s to 24h, such as 5m (the default).
    window: Option<String>,
    /// How many messages there may be in it; 20 by default.
    at_most: Option<usize>,
}

/// Who is told what.
#[derive(Debug)]
pub(crate) struct Config {
    pub(super) receivers: Vec<Receiver>,
    routes: Vec<Route>,
    default: Vec<String>,
    pub(super) pace: Pace,
    pub(super) owners: BTreeMap<String, String>,
}

/// One receiver.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) template: Option<Template>,
    pub(super) digest_template: Option<Template>,
    pub(super) ca: Option<PathBuf>,
    url: PathBuf,
    headers: Vec<(HeaderName, PathBuf)>,
    insecure: bool,
}

impl Config {
    /// Reads the file and what it names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let shown = &path.display();
        let text = small(path).map_err(|error| vec![format!("`{shown}` {error}")])?;
        let config =
            Self::parse(&text).map_err(|problems| problems.into_iter().map(|problem| format!("`{shown}`: {problem}")).collect::<Vec<_>>())?;
        let found = config.receivers.iter().flat_map(|receiver| {
            let trusted = receiver.ca.as_deref().and_then(|ca| post::Poster::new(Some(ca)).err());
            let told = move |problem| format!("`{shown}`: receiver `{}`: {problem}", receiver.name);
            receiver.address().err().into_iter().chain(receiver.headers().err()).chain(trusted).map(told)
        });
        let found: Vec<String> = found.collect();
        if found.is_empty() { Ok(config) } else { Err(found) }
    }

    /// What a text says; reads no further file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        // Nothing of the text is shown beside what is wrong with it: somebody may have written a secret where its file belongs.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| vec![error.without_snippet().to_string()])?;
        let mut problems = Vec::new();
        if file.receivers.is_empty() || file.receivers.len() > MOST {
            problems.push(format!("`receivers`: there are {}, and there may be 1 to {MOST}", file.receivers.len()));
        }
        let names: Vec<String> = file.receivers.iter().map(|receiver| receiver.name.clone()).collect();
        for (place, name) in names.iter().enumerate() {
            let right = (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            if !right {
                problems.push(format!("receiver `{}`: a name has up to 40 lower-case letters, digits and `-`", name.escape_debug()));
            }
            if names.iter().take(place).any(|other| other == name) {
                problems.push(format!("receiver `{}` is there twice", name.escape_debug()));
            }
        }
        let used = file.routes.iter().flat_map(|route| &route.to).chain(&file.default);
        for unknown in used.filter(|name| !names.contains(name)) {
            problems.push(format!("a route leads to `{}`, and no receiver is called so; there are {}", unknown.escape_debug(), names.join(", ")));
        }
        for (owner, member) in &file.owners {
            if member.is_empty() || !member.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
                let (owner, member) = (owner.escape_debug(), member.escape_debug());
                problems.push(format!("`owners`: `{member}` of `{owner}` is no Slack member id such as U024BE7LH"));
            }
        }
        let mut span = |what: &str, text: Option<&str>, default: &str, longest: u64| {
            let text = text.unwrap_or(default);
            match text.parse::<Span>().map(|span| span.get().unsigned_abs()) {
                Ok(span) if (1..=longest).contains(&span.as_secs()) => span,
                Ok(_) => {
                    problems.push(format!("`{what}`: `{text}` is not between 1s and {}h", longest.div_euclid(3_600)));
                    Duration::from_secs(1)
                }
                Err(error) => {
                    problems.push(format!("`{what}`: {error}"));
                    Duration::from_secs(1)
                }
            }
        };
        let window = span("digest.window", file.digest.window.as_deref(), "5m", 24 * 3_600);
        let repeat = span("repeat", file.repeat.as_deref(), "24h", 30 * 24 * 3_600);
        let at_most = file.digest.at_most.unwrap_or(20);
        if !(1..=1_000).contains(&at_most) {
            problems.push(format!("`digest.atMost`: {at_most} is not between 1 and 1000"));
        }
        let receivers = file.receivers.into_iter().filter_map(|form| form.settle(&mut problems)).collect();
        if problems.is_empty() {
            Ok(Self { receivers, routes: file.routes, default: file.default, pace: Pace { window, at_most, repeat }, owners: file.owners })
        } else {
            Err(problems)
        }
    }

    /// Who is told this. An owner who is only claimed takes it from nobody: those are told as well who would be without routes by owner.
    pub(crate) fn receivers_of(&self, notice: &Notice) -> Vec<&str> {
        let first = |may: &dyn Fn(&Route) -> bool| {
            let route = self.routes.iter().find(|route| may(route) && route.matches(notice));
            route.map_or(&self.default, |route| &route.to)
        };
        let mut to: Vec<&str> = first(&|_| true).iter().map(String::as_str).collect();
        if notice.owner().is_some() && notice.proven_owner().is_none() {
            to.extend(first(&|route| route.owners.is_empty()).iter().map(String::as_str));
        }
        let mut told = BTreeSet::new();
        to.retain(|name| told.insert(*name));
        to
    }

    /// Those who can be told.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.receivers.iter()
    }
}

impl ReceiverForm {
    fn settle(self, problems: &mut Vec<String>) -> Option<Receiver> {
        let before = problems.len();
        let name = self.name;
        let makes = match self.kind {
            Kind::Slack => Makes::SlackText,
            Kind::Webhook => Makes::Json,
        };
        let (one, many) = body::samples(self.kind);
        let mut template = |what: &str, source: Option<Spanned<String>>, samples: &[minijinja::Value]| {
            let source = source?;
            let line = source.referenced.line();
            let tried = Template::new(&source.value, makes, samples);
            tried.inspect_err(|error| problems.push(format!("line {line}: receiver `{name}`: `{what}`: {error} (of the template)"))).ok()
        };
        let (template, digest_template) = (template("template", self.template, &one), template("digestTemplate", self.digest_template, &many));
        let mut headers = Vec::new();
        for (header, file) in self.header_files {
            match HeaderName::try_from(header.as_str()) {
                // What frames the message is ours to say.
                Ok(known) if !["host", "content-length", "content-type", "transfer-encoding", "connection"].contains(&known.as_str()) => {
                    headers.push((known, file));
                }
                _ => problems.push(format!("receiver `{name}`: `headerFiles`: `{}` is no header that can be set", header.escape_debug())),
            }
        }
        let receiver =
            Receiver { name, kind: self.kind, template, digest_template, ca: self.ca_file, url: self.url_file, headers, insecure: self.insecure };
        (problems.len() == before).then_some(receiver)
    }
}

impl Receiver {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, as its file says now.
    ///
    /// # Errors
    /// The file cannot be read, or says no address that may be used; the address is not in the error.
    pub(super) fn address(&self) -> Result<Uri, String> {
        let text = small(&self.url).map_err(|error| format!("`urlFile` `{}` {error}", self.url.display()))?;
        post::address(&text, self.insecure).map_err(|error| format!("the address in `{}` cannot be used: {error}", self.url.display()))
    }

    /// What its headers say now.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what a header can; what it holds is not in the error.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let one = |(name, file): &(HeaderName, PathBuf)| {
            let text = small(file).map_err(|error| format!("`headerFiles` `{}` {error}", file.display()))?;
            let mut value = HeaderValue::try_from(text.trim()).map_err(|_| format!("what `{}` holds cannot be a header", file.display()))?;
            value.set_sensitive(true);
            Ok((name.clone(), value))
        };
        self.headers.iter().map(one).collect()
    }

    /// A text without what its files hold: an answer may quote the path or the token that it was asked with.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let path = self.address().ok().and_then(|address| Some(address.path_and_query()?.to_string())).filter(|path| path.len() > 1);
        let headers = self.headers().unwrap_or_default();
        // `Bearer t0ken`: the token alone, too.
        let words = headers.iter().filter_map(|(_, value)| value.to_str().ok()).flat_map(str::split_whitespace);
        let secrets = path.into_iter().chain(words.filter(|word| word.len() >= SHORTEST_SECRET).map(str::to_owned));
        secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "…"))
    }

    #[cfg(test)]
    pub(super) fn for_test(name: &str, kind: Kind, template: Option<&str>) -> Self {
        let kind = if kind == Kind::Slack { "slack" } else { "webhook" };
        let receiver = serde_json::json!({"name": name, "kind": kind, "urlFile": "/nowhere", "template": template});
        let config = Config::parse(&serde_json::json!({"receivers": [receiver]}).to_string()).unwrap_or_else(|problems| panic!("{problems:?}"));
        config.receivers.into_iter().next().unwrap()
    }
}

impl Route {
    fn matches(&self, notice: &Notice) -> bool {
        let any = |patterns: &[String], text: Option<&str>| {
            patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| matches(pattern, text)))
        };
        notice.severity >= self.severity
            && any(&self.owners, notice.owner())
            && any(&self.namespaces, notice.namespace())
            && any(&self.policies, notice.line.policy.as_deref())
            && any(&self.codes, Some(&notice.code))
    }
}

/// Whether a text is what the pattern says, in which `*` stands for any text, none too.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    // The first place where each part stands leaves the most room for those behind it.
    for part in parts {
        match text.split_once(part) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(tail)
}

/// A small text file.
fn small(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err(format!("has {size} bytes, and {LARGEST} are the most"));
    }
    fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests;
