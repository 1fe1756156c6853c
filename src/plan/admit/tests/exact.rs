//! A world in which promises, creations, deletions and their sights come in any order, and nothing is ever over a limit.

use super::*;
use proptest::prelude::*;

/// One step of a world with a cap: asks that come, creations that reach etcd or fail, sights that lag, and deletions.
#[derive(Debug, Clone)]
enum Move {
    Ask { name: u8, owner: u8, dedicated: bool },
    Store(usize),
    See(usize),
    Delete(usize),
    SeeGone(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let index = 0..8_usize;
    proptest::collection::vec(
        prop_oneof![
            3 => (0..6_u8, 0..2_u8, any::<bool>()).prop_map(|(name, owner, dedicated)| Move::Ask { name, owner, dedicated }),
            2 => index.clone().prop_map(Move::Store),
            2 => index.clone().prop_map(Move::See),
            1 => index.clone().prop_map(Move::Delete),
            1 => index.prop_map(Move::SeeGone),
        ],
        1..60,
    )
}

proptest! {
    /// What is in etcd never exceeds a limit, in whatever order promises, creations, deletions and their sights come.
    #[test]
    fn no_limit_is_ever_exceeded(steps in moves()) {
        let policies = policies("  limits: {clones: 3, dedicatedDatabases: 1, clonesPerOwner: 2}\n");
        let (mut claims, mut admitted) = (BTreeMap::<Box<str>, Claim>::new(), Vec::<Value>::new());
        let (mut etcd, mut seen) = (Vec::<Arc<WordPressClone>>::new(), Vec::<Arc<WordPressClone>>::new());
        for (step, what) in steps.into_iter().enumerate() {
            match what {
                Move::Ask { name, owner, dedicated } => {
                    let request = Request { user: format!("o{owner}"), ..create(object(&format!("c{name}"), json!({"useDedicatedDatabase": dedicated}))) };
                    let reservation = format!("r{step}");
                    let town = residents(seen.clone());
                    let verdict = mutate(&request, Town { policies: &policies, residents: &town, claims: &claims }, &reservation);
                    if let Some(claim) = verdict.claim.clone() {
                        claims.insert(reservation.into(), claim);
                        admitted.push(patched(&request, &verdict));
                    }
                }
                Move::Store(at) if at < admitted.len() => {
                    let stored = living(admitted.remove(at), &format!("u{step}"));
                    if etcd.iter().all(|clone| clone.meta.name() != stored.meta.name()) {
                        etcd.push(stored);
                    }
                }
                Move::See(at) if at < etcd.len() => {
                    let clone = Arc::clone(&etcd[at]);
                    seen.retain(|other| other.meta.name() != clone.meta.name());
                    claims.retain(|reservation, _| Some(reservation) != clone.reservation.as_ref());
                    seen.push(clone);
                }
                Move::Delete(at) if at < etcd.len() => drop(etcd.remove(at)),
                Move::SeeGone(at) if at < seen.len() && etcd.iter().all(|clone| clone.meta.uid != seen[at].meta.uid) => drop(seen.remove(at)),
                _ => {}
            }
            prop_assert!(etcd.len() <= 3);
            prop_assert!(etcd.iter().filter(|clone| clone.database.is_dedicated()).count() <= 1);
            for owner in ["o0", "o1"] {
                prop_assert!(etcd.iter().filter(|clone| clone.owner.as_deref() == Some(owner)).count() <= 2);
            }
        }
    }
}
