use super::*;
use proptest::prelude::*;

const BEGIN: i64 = 1_770_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap()
}

fn costs(micro: i64) -> Costs {
    Costs::of(Decimal::new(micro, 9), Decimal::new(micro, 10), Decimal::new(7, 9), Decimal::new(3, 12))
}

fn stay(owner: &'static str, created: i64, gone: Option<i64>, micro: i64) -> Stay<'static> {
    let per_second = costs(micro);
    Stay { owner, created: at(created), gone: gone.map(at), ends: at(100_000), per_second, at_most: per_second.total }
}

fn count(before: &UsageStatus, from: i64, to: i64, stays: &[Stay<'_>]) -> UsageStatus {
    // Whoever is not born by then has not been seen.
    let seen: Vec<_> =
        stays.iter().filter(|stay| stay.created < at(to)).map(|stay| Stay { gone: stay.gone.filter(|gone| *gone <= at(to)), ..*stay }).collect();
    let interval = Interval { month: Month::of(at(0)), from: at(from), to: at(to), watched: Some(at(-1_000)) };
    advance(before, false, interval, &seen, &[])
}

fn lives() -> impl Strategy<Value = Vec<Stay<'static>>> {
    let life = (prop::sample::select(vec!["ada", "bob", ""]), -50i64..900, prop::option::of(1i64..600), 0i64..9_000);
    let life = life.prop_map(|(owner, created, lasts, micro)| stay(owner, created, lasts.map(|lasts| created + lasts), micro));
    prop::collection::vec(life, 0..12)
}

proptest! {
    /// The same sum however time is cut, and the owners' are the whole.
    #[test]
    fn what_is_accrued_does_not_depend_on_the_checkpoints(stays in lives(), mut cuts in prop::collection::vec(1i64..999, 0..6)) {
        let whole = count(&UsageStatus::default(), 0, 1_000, &stays);
        cuts.extend([0, 1_000]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut cut = UsageStatus::default();
        for pair in cuts.windows(2) {
            cut = count(&cut, pair[0], pair[1], &stays);
        }
        let accounts = |status: &UsageStatus| status.owners.iter().map(|owner| (owner.owner.clone(), owner.accrued, owner.clone_seconds)).collect::<Vec<_>>();
        prop_assert_eq!(accounts(&cut), accounts(&whole));
        prop_assert_eq!(cut.estimated, None, "everybody was watched");
        let expected = stays.iter().fold(Costs::default(), |sum, stay| sum.and(stay.per_second.times(stay.within(at(0), at(1_000)).into())));
        let owners = whole.owners.iter().fold(Costs::default(), |sum, owner| sum.and(owner.accrued));
        prop_assert_eq!(owners, expected);
        let committed = whole.owners.iter().filter_map(|owner| owner.committed).fold(Decimal::ZERO, |sum, usd| sum + usd);
        prop_assert_eq!(Some(committed.round_dp(4).normalize()), whole.committed);
        prop_assert!(whole.owners.iter().all(|owner| owner.forecast.unwrap() >= owner.accrued.total.round_dp(4)));
        prop_assert_eq!(expected.total, expected.databases + expected.storage + expected.compute + expected.fixed);
        // What the ledger says is read back as it was.
        let read: UsageStatus = serde_json::from_value(serde_json::json!(whole)).unwrap();
        prop_assert_eq!(read, whole);
    }

    /// Every second of a clone's life is counted in one month, and in one only.
    #[test]
    fn a_month_ends_and_the_next_begins(stays in lives(), turn in 1i64..999) {
        let whole = count(&UsageStatus::default(), 0, 1_000, &stays);
        let first = count(&UsageStatus::default(), 0, turn, &stays);
        let seen: Vec<_> = stays.iter().filter(|stay| stay.created < at(1_000)).copied().collect();
        let interval = Interval { month: Month::of(at(0)), from: at(turn), to: at(1_000), watched: Some(at(-1_000)) };
        let second = advance(&first, true, interval, &seen, &[]);
        let sum = |status: &UsageStatus| status.owners.iter().fold(Costs::default(), |sum, owner| sum.and(owner.accrued));
        prop_assert_eq!(sum(&first).and(sum(&second)), sum(&whole));
    }

    /// Whoever went while nobody watched is counted for half of that time, marked, and never for more than all of it.
    #[test]
    fn what_nobody_saw_is_estimated_and_marked(stays in lives(), killed in 100i64..400, back in 410i64..900) {
        let before = count(&UsageStatus::default(), 0, killed, &stays);
        let truth = count(&before, killed, back, &stays);
        let seen: Vec<_> = stays.iter().filter(|stay| stay.created < at(back) && stay.gone.is_none_or(|gone| gone > at(back))).copied().collect();
        let interval = Interval { month: Month::of(at(0)), from: at(killed), to: at(back), watched: Some(at(back)) };
        let after = advance(&before, false, interval, &seen, &[]);
        let estimated = after.estimated.unwrap_or_default();
        let sum = |status: &UsageStatus| accrued(status);
        let went: Vec<_> = stays.iter().filter(|stay| stay.lived_at(at(killed)) && !stay.lived_at(at(back))).collect();
        let most = went.iter().map(|stay| stay.per_second.total).sum::<Decimal>() * Decimal::from(back - killed);
        prop_assert!(estimated >= Decimal::ZERO && estimated <= most, "{} of {}", estimated, most);
        // Beside the estimate everything is exact: only those who came and went meanwhile are missing.
        let unseen = stays.iter().filter(|stay| stay.created >= at(killed) && !stay.lived_at(at(back)));
        let unseen: Decimal = unseen.map(|stay| stay.per_second.total * Decimal::from(stay.within(at(killed), at(back)))).sum();
        let known: Decimal = went.iter().map(|stay| stay.per_second.total * Decimal::from(stay.within(at(killed), at(back)))).sum();
        prop_assert_eq!(sum(&after) - estimated, sum(&truth) - unseen - known);
        prop_assert_eq!(after.estimated.is_some(), went.iter().any(|stay| !stay.per_second.total.is_zero()));
    }
}

#[test]
fn a_ledger_says_what_lived_what_it_saved_and_what_comes() {
    let stays = [stay("ada", 100, None, 1_000), stay("bob", 100, Some(400), 1_000)];
    let reaped = Reaping { why: "expired", owner: Some("bob"), at: at(400), instead: at(1_400), per_second: costs(1_000).total };
    let interval = Interval { month: Month::of(at(0)), from: at(0), to: at(600), watched: Some(at(0)) };
    let left_behind = Reaping { why: "orphan", owner: None, ..reaped };
    let status = advance(&UsageStatus::default(), false, interval, &stays, &[reaped, Reaping { at: at(700), ..reaped }, left_behind]);
    assert_eq!(status.clones, Some(CloneCounts { live: 1, created: 2, ended: 1, peak: 1 }));
    assert_eq!(status.clone_hours.unwrap().to_string(), "0.2222");
    let per_second = costs(1_000).total;
    let usd = (per_second * Decimal::from(1_000)).normalize();
    let saving = |reason: &str| Saving { reason: reason.into(), usd, reaped: 1 };
    assert_eq!(status.savings, [saving("expired"), saving("orphan")]);
    let [ada, bob] = status.owners.as_slice() else { panic!("{:?}", status.owners) };
    assert_eq!((ada.saved, bob.saved), (None, Some(usd)), "what was left behind is nobody's");
    assert_eq!((ada.committed.map(|usd| usd.round_dp(4).normalize()), bob.committed), (status.committed, None));
    assert_eq!(bob.forecast, Some(forecast(bob.accrued.total, Decimal::ZERO, interval.month, interval.to).round_dp(4).normalize()));
    assert_eq!(accrued(&status), (per_second * Decimal::from(800)).normalize());
    assert_eq!(status.committed, Some((per_second * Decimal::from(100_000 - 600)).round_dp(4).normalize()));
    assert!(status.forecast.unwrap() >= status.committed.unwrap());
}

#[test]
fn very_many_owners_share_an_account_and_nothing_is_lost() {
    let names: Vec<&'static str> = (0..400).map(|n| &*format!("owner-{n:03}").leak()).collect();
    let stays: Vec<_> = names.iter().map(|name| stay(name, 0, None, 1_000)).collect();
    let first = count(&UsageStatus::default(), 0, 100, &stays);
    let second = count(&first, 100, 200, &stays);
    assert_eq!((second.owners.len(), second.owners[0].owner.as_str(), second.owners[0].live), (201, "", 200));
    assert_eq!(accrued(&second), (costs(1_000).total * Decimal::from(400 * 200)).normalize());
    assert_eq!(second.estimated, None);
}
