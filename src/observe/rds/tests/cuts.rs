//! No part of an answer passes for the answer.

use super::super::{fake::page_bytes, table, whole, xml};
use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn items(operation: &str) -> Vec<String> {
    match operation {
        "DescribeDBInstances" => vec![instance("a"), instance("b")],
        "DescribeDBClusters" => vec![cluster("a"), cluster("b")],
        "DescribeDBSnapshots" => vec![snapshot("rds:a-1", "a"), snapshot("a-final", "a")],
        "DescribeDBClusterSnapshots" => vec![cluster_snapshot("a-1", "a"), cluster_snapshot("a-2", "a")],
        "DescribeDBInstanceAutomatedBackups" => vec![backup("a", "A"), backup("a", "B")],
        other => panic!("{other}"),
    }
}

/// A server that cuts each answer of some operations to as many bytes as it is told.
async fn cutting(cut: &Arc<AtomicUsize>, operations: &'static [&'static str], items: fn(&str) -> Vec<String>) -> (Aws, usize) {
    let length = operations.iter().map(|operation| page_bytes(operation, &items(operation), None).len()).max().unwrap();
    let cut = Arc::clone(cut);
    let aws = Aws::start(move |operation, _, _| {
        if !operations.contains(&operation) {
            return otherwise(operation);
        }
        let mut body = page_bytes(operation, &items(operation), None);
        body.truncate(cut.load(Ordering::SeqCst).min(body.len() - 1));
        Reply::Whole(200, body)
    })
    .await;
    (aws, length)
}

#[tokio::test]
async fn a_sweep_cut_at_any_byte_has_no_list() {
    let cut = Arc::new(AtomicUsize::new(0));
    let all = &["DescribeDBInstances", "DescribeDBClusters", "DescribeDBSnapshots", "DescribeDBClusterSnapshots"];
    let (aws, length) = cutting(&cut, all, |operation| items(operation).split_off(1)).await;
    let cloud = aws.cloud();
    for at in 0..length {
        cut.store(at, Ordering::SeqCst);
        for (list, found) in cloud.sweep(&region()).await.lists {
            assert!(matches!(found, Err(CloudError::NotWhole(_))), "{list:?} cut at {at}: {found:?}");
        }
    }
}

#[tokio::test]
async fn one_database_cut_at_any_byte_is_neither_there_nor_gone() {
    let cut = Arc::new(AtomicUsize::new(0));
    let (aws, length) = cutting(&cut, &["DescribeDBInstances"], |_| vec![instance("a")]).await;
    let cloud = aws.cloud();
    for at in 0..length {
        cut.store(at, Ordering::SeqCst);
        let found = cloud.describe(CloudList::Instances, REGION, "a").await;
        assert!(matches!(found, Err(CloudError::NotWhole(_))), "cut at {at}: {found:?}");
    }
    // The same for the answer that there is none.
    let Reply::Whole(_, gone) = fault(404, "DBInstanceNotFound") else { panic!() };
    let (told, sent) = (Arc::clone(&cut), gone.clone());
    let aws = Aws::start(move |operation, _, _| match operation {
        "DescribeDBInstances" => Reply::Whole(404, sent[..told.load(Ordering::SeqCst)].to_vec()),
        _ => otherwise(operation),
    })
    .await;
    let cloud = aws.cloud();
    for at in 0..gone.len() {
        cut.store(at, Ordering::SeqCst);
        let found = cloud.describe(CloudList::Instances, REGION, "a").await;
        assert!(matches!(found, Err(CloudError::NotWhole(_))), "cut at {at}: {found:?}");
    }
    cut.store(gone.len(), Ordering::SeqCst);
    assert_eq!(cloud.describe(CloudList::Instances, REGION, "a").await, Ok(None));
}

#[tokio::test]
async fn kin_cut_at_any_byte_is_not_known() {
    for operations in [&["DescribeDBSnapshots"], &["DescribeDBInstanceAutomatedBackups"]] {
        let cut = Arc::new(AtomicUsize::new(0));
        let (aws, length) = cutting(&cut, operations, |operation| items(operation).split_off(1)).await;
        let cloud = aws.cloud();
        for at in 0..length {
            cut.store(at, Ordering::SeqCst);
            let found = cloud.kin(CloudList::Instances, REGION, "a").await;
            assert!(matches!(found, Err(CloudError::NotWhole(_))), "{operations:?} cut at {at}: {found:?}");
        }
    }
}

/// What the adapter makes of the bytes of a page.
fn judged(list: CloudList, bytes: &[u8]) -> Option<Vec<CloudResource>> {
    let place = whole::Place { account: ACCOUNT, region: REGION };
    let page = table::read(Table::Swept(list), xml::parse(bytes).ok()?).ok()?;
    page.items.iter().map(|(_, item)| whole::resource(list, item, place).ok()).collect()
}

#[test]
fn a_page_of_several_items_cut_at_any_byte_is_not_read() {
    for list in CloudList::ALL {
        let operation = Table::Swept(list).operation();
        let page = page_bytes(operation, &items(operation), Some("more"));
        assert_eq!(judged(list, &page).map(|found| found.len()), Some(2));
        for at in 0..page.len() {
            assert_eq!(judged(list, &page[..at]), None, "{list:?} cut at {at}");
        }
    }
}

/// One way to spoil a text.
#[derive(Debug, Clone)]
enum Harm {
    Replace(prop::sample::Index, u8),
    Remove(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

impl Harm {
    fn to(&self, text: &mut Vec<u8>) {
        match self {
            Self::Replace(at, byte) => {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            Self::Remove(one, other) | Self::Repeat(one, other) => {
                let (one, other) = (one.index(text.len()), other.index(text.len()));
                let range = one.min(other)..one.max(other).min(one.min(other) + 400);
                let part = text[range.clone()].to_vec();
                let again = if matches!(self, Self::Repeat(..)) { [part.clone(), part].concat() } else { Vec::new() };
                text.splice(range, again);
            }
        }
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"<>/&; aA0-".to_vec())];
    prop_oneof![
        (index(), byte).prop_map(|(at, byte)| Harm::Replace(at, byte)),
        (index(), index()).prop_map(|(one, other)| Harm::Remove(one, other)),
        (index(), index()).prop_map(|(one, other)| Harm::Repeat(one, other)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is read of a spoiled page stands in it, letter for letter, and all of it that is there is read. Looked for by plain
    /// search, so that the reader does not vouch for itself.
    #[test]
    fn whatever_is_read_of_a_spoiled_page_stands_in_it(harms in prop::collection::vec(harm(), 1..3), place in 0..4_usize) {
        let (list, operation) = (CloudList::ALL[place], Table::Swept(CloudList::ALL[place]).operation());
        let whole = page_bytes(operation, &items(operation), None);
        prop_assert_eq!(judged(list, &whole).map(|found| found.len()), Some(2));
        let mut text = whole;
        harms.iter().for_each(|harm| harm.to(&mut text));
        if let Some(found) = judged(list, &text) {
            let text = String::from_utf8(text).unwrap();
            let kind = crate::model::cloud::kind(list);
            let count = |name: &str| text.split(&format!("<{name}")).skip(1).filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric())).count();
            prop_assert_eq!(found.len(), count(kind));
            prop_assert!(found.iter().map(|one| one.tags.as_ref().unwrap().len()).sum::<usize>() <= count("Tag"));
            prop_assert_eq!(found.len(), count("TagList"));
            for one in &found {
                let last = |text: &str| text.rsplit(':').next().map(str::to_owned);
                let parts = [
                    (true, format!(">{}</{kind}Identifier", one.id)),
                    (true, format!(">{}</{kind}Arn", one.arn)),
                    (one.protected.is_some(), format!(">{}</DeletionProtection", one.protected.unwrap_or_default())),
                    (!one.resource_id.is_empty(), format!(">{}</D", one.resource_id)),
                ];
                for (said, part) in parts {
                    prop_assert!(!said || text.contains(&part), "{}", part);
                }
                prop_assert_eq!(last(&one.arn), last(&one.id));
            }
        }
    }
}
