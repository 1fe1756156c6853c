//! What is drawn from a seed, and what a test scripts.

use super::*;

#[test]
fn without_levels_nothing_goes_wrong_and_a_script_is_followed() {
    let mut faults = Faults::new(1);
    assert!((0..100).all(|_| faults.fate(Call::Delete) == Fate::Through));
    faults.script(Call::Delete, Fate::Refused(ApiError::NotFound));
    assert_eq!(faults.fate(Call::List), Fate::Through);
    assert_eq!(faults.fate(Call::Delete), Fate::Refused(ApiError::NotFound));
    assert_eq!(faults.fate(Call::Delete), Fate::Through);
}

#[test]
fn the_same_seed_gives_the_same_faults_and_every_sort_of_them() {
    let draw = |seed| {
        let mut faults = Faults::new(seed);
        faults.set_levels(Levels::ROUGH);
        (0..500).map(|_| faults.fate(Call::Delete)).collect::<Vec<_>>()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    let all = draw(3);
    let sorts: [fn(&Fate) -> bool; 6] = [
        |fate| matches!(fate, Fate::Refused(ApiError::Conflict(_))),
        |fate| matches!(fate, Fate::Refused(ApiError::Unavailable(_))),
        |fate| matches!(fate, Fate::LostRequest(_)),
        |fate| matches!(fate, Fate::LostAnswer(_)),
        |fate| matches!(fate, Fate::Straggler(..)),
        |fate| matches!(fate, Fate::Slow(..)),
    ];
    assert!(sorts.iter().all(|sort| all.iter().any(sort)), "{all:?}");
}

#[test]
fn a_crash_comes_after_so_many_calls_and_is_for_ever() {
    let mut faults = Faults::new(1);
    faults.crash_after(2, true);
    assert_eq!((faults.fate(Call::Get), faults.fate(Call::Get)), (Fate::Through, Fate::Through));
    assert_eq!(faults.fate(Call::Delete), Fate::Crash(true));
    assert!(faults.crashed());
    assert_eq!(faults.fate(Call::Get), Fate::Crash(false));
}
