//! Documents to objects and evidence: what each file holds, what it was meant to hold, and what is in it twice.

use super::named::{self, LISTS, Named};
use crate::model::{
    Child, Evidence, Kind, Node, Quota, Snapshot, Source, Unreadable, WordPressClone, child::Definition, cloud::CloudResource, evidence::CloudList,
    month::UsageRecord, orphan::OrphanRecord,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Two files that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The object, for people.
    pub what: String,
    /// One file.
    pub one: Arc<str>,
    /// The other; it may be the same file.
    pub other: Arc<str>,
    /// How they differ.
    pub how: &'static str,
}

/// An object of the cluster, trimmed to what a decision reads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    Clone(Arc<WordPressClone>),
    Child(Arc<Child>),
    Namespace(BTreeMap<String, String>, bool),
    Definition(Definition),
    Orphan(Arc<OrphanRecord>),
    Usage(Arc<UsageRecord>),
    Node(Arc<Node>),
    Quota(Arc<Quota>),
}

struct Held {
    uid: String,
    version: String,
    object: Object,
    file: Arc<str>,
}

/// Everything that has been read so far.
#[derive(Default)]
pub(super) struct Collection {
    objects: BTreeMap<(Kind, String), Held>,
    unreadable: Vec<Unreadable>,
    cloud: BTreeMap<String, (Arc<CloudResource>, Arc<str>)>,
    /// Every source that was asked for, with what is missing from it.
    asked: BTreeMap<Source, BTreeSet<String>>,
    /// Kinds that no decision reads, and how many objects of each there were.
    foreign: BTreeMap<String, usize>,
    pub(super) notes: Vec<String>,
    pub(super) contradictions: Vec<Contradiction>,
    /// The UID of the namespace `kube-system`, by which a cluster is called unless somebody says otherwise.
    pub(super) kube_system: Option<String>,
}

/// One file while it is read.
struct File<'a> {
    name: Arc<str>,
    named: &'a Named,
    /// What was really in it.
    found: BTreeSet<Kind>,
    /// It held a list or an object of the cluster, even if of a kind that no decision reads.
    kubectl: bool,
    /// It held an answer of AWS.
    aws: bool,
    /// It held objects of other kinds than the one it is named after.
    others: bool,
}

impl Collection {
    /// Takes in the documents of one file.
    pub(super) fn file(&mut self, name: &str, named: &Named, documents: Vec<Value>) {
        let empty = documents.is_empty();
        let mut file = File { name: Arc::from(name), named, found: BTreeSet::new(), kubectl: false, aws: false, others: false };
        for document in documents {
            self.document(&mut file, document);
        }
        for kind in &file.found {
            self.ask(Source::Objects(*kind));
        }
        match named {
            _ if empty => self.lacking(&file, "is empty: kubectl writes a list even where there is nothing, so the command that wrote it has failed"),
            Named::Objects(kind) if !file.found.contains(kind) && (file.others || !file.found.is_empty()) => {
                // A file of other things is no evidence that there are none of these.
                self.notes.push(format!("`{name}` holds no {kind} but other objects: it does not count as a list of {}", kind.plural()));
            }
            Named::Objects(kind) if file.kubectl => self.ask(Source::Objects(*kind)),
            // `kubectl get dbinstances` and `aws rds describe-db-instances`: the content tells which it was.
            Named::Answer(list, _) if file.kubectl && !file.aws && !file.others => {
                if let Some(kind) = twin(*list) {
                    self.ask(Source::Objects(kind));
                }
            }
            _ => {}
        }
    }

    fn document(&mut self, file: &mut File<'_>, document: Value) {
        match document {
            Value::Array(elements) => self.elements(file, elements),
            Value::Object(_) if LISTS.iter().any(|list| document.get(named::field(*list)).is_some_and(Value::is_array)) => {
                self.answer(file, &document)
            }
            Value::Object(_) if text(&document, "kind") == Some("Status") => {
                file.kubectl = true;
                let said = text(&document, "message").unwrap_or("no message").to_owned();
                self.lacking(file, &format!("holds an error of the API server instead of objects: {said}"));
            }
            Value::Object(_)
                if text(&document, "kind").is_none_or(|kind| kind.ends_with("List"))
                    && document.get("items").is_some_and(|items| items.is_array() || items.is_null()) =>
            {
                self.list(file, document);
            }
            Value::Object(_) if document.get("kind").is_some_and(Value::is_string) => self.object(file, None, &document),
            _ => self.lacking(file, "holds something that is neither an object of the cluster nor an answer of `aws rds describe-…`"),
        }
    }

    /// What `kubectl get` writes: a `List`, or one that the API server itself wrote, whose items do not say their kind.
    fn list(&mut self, file: &mut File<'_>, mut document: Value) {
        file.kubectl = true;
        let own = text(&document, "kind").and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        let of = own.and_then(|kind| kind_of(text(&document, "apiVersion"), kind));
        let foreign = own.filter(|_| of.is_none()).map(str::to_owned);
        let more = document.pointer("/metadata/continue").and_then(Value::as_str).is_some_and(|next| !next.is_empty())
            || document.pointer("/metadata/remainingItemCount").and_then(Value::as_i64).is_some_and(|left| left > 0);
        let before = std::mem::take(&mut file.found);
        let items = match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let (count, fallback) = (items.len(), of.or(file.kind()));
        for item in items {
            match &foreign {
                Some(kind) if item.get("kind").is_none() => {
                    file.others = true;
                    self.ignore(kind);
                }
                _ => self.object(file, fallback, &item),
            }
        }
        file.found.extend(of);
        if more {
            let lists: BTreeSet<Kind> = file.found.iter().copied().chain(file.kind()).collect();
            for kind in lists {
                self.lack(Source::Objects(kind), format!("`{}` is one page of a longer list (metadata.continue)", file.name));
            }
        }
        if count == 0 && file.found.is_empty() && *file.named == Named::Nothing && foreign.is_none() {
            self.notes.push(format!(
                "`{}` is an empty list of nothing in particular: name it after its kind (`jobs.yaml`) to say what there is none of",
                file.name
            ));
        }
        file.found.extend(before);
    }

    /// A bare array, as `jq .items` or `aws … --query DBInstances` leave it.
    fn elements(&mut self, file: &mut File<'_>, elements: Vec<Value>) {
        let list_of = |element: &Value| LISTS.into_iter().find(|list| element.get(named::arn_field(*list)).is_some_and(Value::is_string));
        let (mut answers, mut objects): (BTreeMap<CloudList, Vec<Value>>, Vec<Value>) = (BTreeMap::new(), Vec::new());
        let empty = elements.is_empty();
        for element in elements {
            // The ARN of a snapshot's own kind comes last in the list: none of them carries another's.
            match (list_of(&element), file.named) {
                (Some(list), _) => answers.entry(list).or_default().push(element),
                (None, Named::Answer(list, _)) if element.get("kind").is_none() => answers.entry(*list).or_default().push(element),
                _ => objects.push(element),
            }
        }
        if let (true, Named::Answer(list, _)) = (empty, file.named) {
            answers.entry(*list).or_default();
        }
        for (list, elements) in answers {
            self.sweep(file, list, &elements, None);
        }
        file.kubectl |= !objects.is_empty() || (empty && matches!(file.named, Named::Objects(_)));
        let kind = file.kind();
        for object in objects {
            self.object(file, kind, &object);
        }
    }

    /// One object; `expected` is the kind of the list it stands in, which its items need not repeat.
    fn object(&mut self, file: &mut File<'_>, expected: Option<Kind>, object: &Value) {
        let kind = match (text(object, "kind"), expected) {
            (Some(name), _) => match kind_of(text(object, "apiVersion"), name) {
                Some(kind) => kind,
                None => {
                    file.kubectl = true;
                    file.others = true;
                    return self.ignore(name);
                }
            },
            (None, Some(kind)) => kind,
            (None, None) => return self.lacking(file, "holds something that does not say its `kind`"),
        };
        file.kubectl = true;
        file.found.insert(kind);
        let read = match kind {
            Kind::Clone => WordPressClone::read(object).map(|clone| Some(Object::Clone(Arc::new(clone)))),
            Kind::Namespace => crate::model::Meta::read(kind, object).map(|meta| Some(Object::Namespace(labels(object), meta.terminating.is_some()))),
            Kind::ResourceQuota | Kind::LimitRange => Quota::read(kind, object).map(|quota| quota.map(|quota| Object::Quota(Arc::new(quota)))),
            Kind::Definition => Definition::read(object).map(|definition| Some(Object::Definition(definition))),
            Kind::Orphan => OrphanRecord::read(object).map(|orphan| Some(Object::Orphan(Arc::new(orphan)))),
            Kind::Usage => UsageRecord::read(object).map(|usage| Some(Object::Usage(Arc::new(usage)))),
            Kind::Node => Node::read(object).map(|node| Some(Object::Node(Arc::new(node)))),
            _ => Child::read(kind, object).map(|child| child.map(|child| Object::Child(Arc::new(child)))),
        };
        match read {
            Ok(Some(read)) => self.hold(file, kind, object, read),
            // It belongs to no clone, or has another name than ours.
            Ok(None) => {}
            Err(problem) if self.unreadable.contains(&problem) => {}
            Err(problem) => self.unreadable.push(problem),
        }
    }

    /// Takes an object in; one that is there already is taken once, in its newer form.
    fn hold(&mut self, file: &File<'_>, kind: Kind, raw: &Value, object: Object) {
        let field = |key: &str| raw.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default().to_owned();
        let new = Held { uid: field("uid"), version: field("resourceVersion"), object, file: Arc::clone(&file.name) };
        if kind == Kind::Namespace && field("name") == "kube-system" {
            self.kube_system = Some(new.uid.clone());
        }
        let key = (kind, format!("{}/{}", field("namespace"), field("name")));
        let Some(known) = self.objects.get(&key) else {
            self.objects.insert(key, new);
            return;
        };
        let number = |version: &str| version.parse::<u64>().ok();
        let how = match (number(&known.version), number(&new.version)) {
            _ if known.uid != new.uid => Some("it has another uid in each: one was exported before it was made again"),
            _ if known.object == new.object => None,
            (Some(before), Some(now)) if now > before => {
                self.objects.insert(key, new);
                return;
            }
            (Some(before), Some(now)) if now < before => None,
            _ => Some("it differs, and its resourceVersion does not say which form is the newer"),
        };
        if let Some(how) = how {
            let what = format!("{kind} `{}`", key.1.trim_start_matches('/'));
            self.contradictions.push(Contradiction { what, one: Arc::clone(&known.file), other: new.file, how });
        }
    }

    /// An answer of AWS: usually of one list, but nothing hinders a tool from merging several.
    fn answer(&mut self, file: &mut File<'_>, document: &Value) {
        let next =
            ["Marker", "NextToken"].into_iter().find(|key| document.get(*key).is_some_and(|value| !value.is_null() && value.as_str() != Some("")));
        for list in LISTS {
            if let Some(elements) = document.get(named::field(list)).and_then(Value::as_array) {
                self.sweep(file, list, elements, next);
            }
        }
    }

    fn sweep(&mut self, file: &mut File<'_>, list: CloudList, elements: &[Value], next: Option<&str>) {
        file.aws = true;
        let mut regions: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut lacks: Vec<String> = Vec::new();
        lacks.extend(next.map(|key| format!("`{}` is one page of a longer answer (`{key}`)", file.name)));
        for element in elements {
            match CloudResource::read(list, element) {
                Ok(resource) => {
                    regions.insert(Arc::clone(&resource.region));
                    self.hold_cloud(file, resource);
                }
                Err(problem) => lacks.push(format!("an element of `{}` cannot be read: {problem}", file.name)),
            }
        }
        if regions.is_empty() {
            let region = match file.named {
                Named::Answer(_, Some(region)) => region.as_str(),
                _ => "unknown",
            };
            regions.insert(Arc::from(region));
        }
        for region in regions {
            let source = Source::Cloud(region, list);
            self.ask(source.clone());
            for lack in &lacks {
                self.lack(source.clone(), lack.clone());
            }
        }
    }

    fn hold_cloud(&mut self, file: &File<'_>, resource: CloudResource) {
        let Some((known, before)) = self.cloud.get(&resource.arn) else {
            self.cloud.insert(resource.arn.clone(), (Arc::new(resource), Arc::clone(&file.name)));
            return;
        };
        if **known != resource {
            let what = format!("{} `{}`", resource.kind(), resource.id);
            let how = "it differs, and AWS gives no version by which to tell the newer form";
            self.contradictions.push(Contradiction { what, one: Arc::clone(before), other: Arc::clone(&file.name), how });
        }
    }

    fn ignore(&mut self, kind: &str) {
        let count = self.foreign.entry(kind.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// A file has not what its name promises: the source is not known. Without a promise it is only worth a note.
    fn lacking(&mut self, file: &File<'_>, why: &str) {
        let lack = format!("`{}` {why}", file.name);
        match file.named {
            Named::Objects(kind) => self.lack(Source::Objects(*kind), lack),
            Named::Answer(list, region) => self.lack(Source::Cloud(Arc::from(region.as_deref().unwrap_or("unknown")), *list), lack),
            Named::Nothing => self.notes.push(format!("{lack}; it is ignored")),
        }
    }

    fn ask(&mut self, source: Source) {
        self.asked.entry(source).or_default();
    }

    fn lack(&mut self, source: Source, why: String) {
        self.asked.entry(source).or_default().insert(why);
    }

    /// Everything as one look at the world, as of `now`.
    pub(super) fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        let foreign = std::mem::take(&mut self.foreign);
        self.notes.extend(foreign.into_iter().map(|(kind, count)| format!("{count} of kind `{kind}` ignored: no decision reads them")));
        let mut snapshot = Snapshot { unreadable: std::mem::take(&mut self.unreadable), ..Snapshot::default() };
        for ((_, path), held) in std::mem::take(&mut self.objects) {
            match held.object {
                Object::Clone(clone) => snapshot.clones.push(clone),
                Object::Child(child) => snapshot.children.push(child),
                Object::Namespace(labels, leaving) => {
                    let name = path.trim_start_matches('/').to_owned();
                    snapshot.leaving.extend(leaving.then(|| name.clone()));
                    snapshot.namespaces.insert(name, labels);
                }
                Object::Definition(definition) => snapshot.definitions.push(definition),
                Object::Orphan(orphan) => snapshot.orphans.push(orphan),
                Object::Usage(usage) => snapshot.usages.push(usage),
                Object::Node(node) => snapshot.nodes.push(node),
                Object::Quota(quota) => snapshot.quotas.push(quota),
            }
        }
        snapshot.cloud = std::mem::take(&mut self.cloud).into_values().map(|(resource, _)| resource).collect();
        for (source, lacks) in std::mem::take(&mut self.asked) {
            let lacks: Vec<String> = lacks.into_iter().collect();
            let evidence = if lacks.is_empty() { Evidence::complete(now) } else { Evidence::incomplete(now, lacks.join("; ")) };
            snapshot.evidence.insert(source, evidence);
        }
        // Whoever exported the files has looked at a clock; there is no server to compare it with.
        snapshot.evidence.insert(Source::Time, Evidence::complete(now));
        snapshot
    }
}

impl File<'_> {
    /// The kind that the file is named after.
    fn kind(&self) -> Option<Kind> {
        match self.named {
            Named::Objects(kind) => Some(*kind),
            Named::Answer(..) | Named::Nothing => None,
        }
    }
}

/// The kind in the cluster that stands for what AWS lists.
fn twin(list: CloudList) -> Option<Kind> {
    match list {
        CloudList::Instances => Some(Kind::DbInstance),
        CloudList::Clusters => Some(Kind::DbCluster),
        CloudList::Snapshots | CloudList::ClusterSnapshots => None,
    }
}

/// The kind by group and name. The version does not matter: a clone that is served in another version lives all the same.
pub(super) fn kind_of(api_version: Option<&str>, name: &str) -> Option<Kind> {
    let group = |api: &str| api.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    let matches = |kind: &Kind| kind.name() == name && api_version.is_none_or(|api| group(api) == kind.group());
    Kind::ALL.into_iter().find(matches)
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| value.as_str().map(|value| (key.clone(), value.to_owned()));
    labels.map(|labels| labels.iter().filter_map(text).collect()).unwrap_or_default()
}
