//! The forms that Kubernetes and AWS give to names and quantities, and how near two words are.

/// Whether `text` is an RFC 1123 label: what namespaces are called.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63 && text.chars().all(inner) && edges(text, |c| c != '-')
}

/// Whether `text` is a qualified name: the key of a label, the name of a resource.
pub(super) fn is_qualified(text: &str) -> bool {
    let name = |part: &str| part.len() <= 63 && part.chars().all(is_word) && edges(part, |c| c.is_ascii_alphanumeric());
    match text.rsplit_once('/') {
        Some((prefix, rest)) => prefix.len() <= 253 && prefix.split('.').all(is_label) && name(rest),
        None => name(text),
    }
}

/// Whether `text` may be the value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && text.chars().all(is_word) && edges(text, |c| c.is_ascii_alphanumeric()))
}

/// Whether `text` is the name of a resource in a quota; `requests.` and `limits.` go before extended resources too.
pub(super) fn is_resource(text: &str) -> bool {
    let bare = text.strip_prefix("requests.").or_else(|| text.strip_prefix("limits.")).unwrap_or(text);
    is_qualified(text) || is_qualified(bare)
}

/// Whether `text` has the form of an instance class: `db.t3.micro`.
pub(super) fn is_instance_class(text: &str) -> bool {
    let mut parts = text.split('.');
    let family = parts.next() == Some("db");
    let rest: Vec<&str> = parts.collect();
    let part = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    family && rest.len() >= 2 && rest.iter().all(part)
}

/// Whether `text` has the form of an RDS identifier as RDS stores it.
pub(super) fn is_rds_identifier(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.contains("--")
}

/// Whether `text` can be a host name or an address, without scheme, port or path.
pub(super) fn is_host(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name = text.len() <= 253 && text.chars().all(word) && text.split('.').all(|part| edges(part, |c| c != '-'));
    name || text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether there is a first and a last character and both will do.
fn edges(text: &str, will_do: impl Fn(char) -> bool) -> bool {
    text.chars().next().is_some_and(&will_do) && text.chars().next_back().is_some_and(&will_do)
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Far longer than any field; comparing two long texts costs the product of their lengths.
    if word.chars().count() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    let scored = candidates.into_iter().map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours lie between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above_last: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (row, a) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let get = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = get(&above, column) + usize::from(a != *other);
            best = best.min(get(&above, column + 1) + 1).min(get(&current, column) + 1);
            let swapped = column > 0 && last_a == Some(*other) && b.get(column - 1) == Some(&a);
            if swapped {
                best = best.min(get(&above_last, column - 1) + 1);
            }
            current.push(best);
        }
        above_last = std::mem::replace(&mut above, current);
        last_a = Some(a);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_kubernetes_takes() {
        for good in ["a", "wordpress-staging", "0", &"a".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_qualified("app.kubernetes.io/name") && is_qualified("team") && !is_qualified("/x") && !is_qualified("a/b/c"));
        assert!(is_label_value("") && is_label_value("A_b.1") && !is_label_value("-x") && !is_label_value("a b"));
    }

    #[test]
    fn resources_are_what_kubernetes_takes() {
        for good in ["pods", "requests.cpu", "requests.nvidia.com/gpu", "gold.storageclass.storage.k8s.io/requests.storage"] {
            assert!(is_resource(good), "{good}");
        }
        assert!(!is_resource("") && !is_resource("requests.") && !is_resource("a b"));
    }

    #[test]
    fn aws_names_have_their_forms() {
        assert!(is_instance_class("db.t3.micro") && is_instance_class("db.r5.2xlarge.tpc2.mem4x"));
        assert!(!is_instance_class("t3.micro") && !is_instance_class("db.t3") && !is_instance_class("db.t3.") && !is_instance_class("DB.t3.micro"));
        assert!(is_rds_identifier("staging-mysql") && !is_rds_identifier("1a") && !is_rds_identifier("a--b") && !is_rds_identifier("A"));
        assert!(is_host("10.0.0.1") && is_host("x.us-east-1.rds.amazonaws.com") && is_host("::1"));
        assert!(!is_host("mysql://x") && !is_host("x:3306") && !is_host("a..b") && !is_host(""));
    }

    #[test]
    fn the_nearest_word_is_near() {
        let fields = ["default", "minimum", "maximum", "warnings", "grace"];
        assert_eq!(nearest("maxmium", fields), Some("maximum"));
        assert_eq!(nearest("Default", fields), Some("default"));
        assert_eq!(nearest("bananas", fields), None);
        assert_eq!(nearest("", fields), None);
        assert_eq!(nearest(&"x".repeat(1_000), fields), None);
        assert_eq!(distance("ttl", "tll"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
