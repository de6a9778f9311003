//! Dividing what the way to a subscriber carries among the pictures that it is to get.
//!
//! Pictures of a higher rank are served first, and the larger before the smaller. First everybody gets its smallest form, then
//! all are raised step by step, those of the highest rank before the others, and among equals the one that has least.

use crate::base::Bitrate;

/// A form in which a picture can be sent, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it takes.
    pub rate: Bitrate,
    /// How good it is beside the other forms of any picture: what is equally good for one person is equal here.
    pub level: u8,
}

/// A picture that is to be had in some forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Those of a higher rank come first.
    pub rank: u8,
    /// Of the same rank, those with more pixels on the display come first.
    pub pixels: u32,
    /// Where its forms begin in the list of all forms, the least first.
    pub first: usize,
    /// How many there are.
    pub count: usize,
    /// How many of them it has now: 0 for none.
    pub has: usize,
    /// It has none, and need not wait until improvements may be made: it is to be seen.
    pub begins: bool,
    /// How many of them it is to have.
    pub gets: usize,
    /// The caller's number for it: claims are put in another order.
    pub order: usize,
}

/// How much a set that is had already may take more than is there. Less switches to and fro with every change of a rate, more
/// lets a queue grow.
const KEEP_PER_CENT: u64 = 102;
/// How much of what is there a better set may take.
const RAISE_PER_CENT: u64 = 99;

/// How much of what is there a better set may take while improvements have to wait: after that no doubt is left.
const AMPLE_PER_CENT: u64 = 66;

/// Whether anything may become better than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// It may not.
    No,
    /// It may where there is ample room.
    Ample,
    /// It may.
    Yes,
}

/// Divides `budget` among `claims`; [`Claim::gets`] is the answer.
///
/// What is had stays as long as it fits, so that a rate that moves a little moves nobody.
pub fn allocate(claims: &mut [Claim], forms: &[Form], budget: Bitrate, raise: Raise) -> Outcome {
    let per_cent = |n: u64| Bitrate::bps(budget.as_bps().saturating_mul(n) / 100);
    claims.sort_by_key(|claim| std::cmp::Reverse((claim.rank, claim.pixels)));
    let most = serve(claims, forms, per_cent(RAISE_PER_CENT));
    let raised = claims.iter().any(|claim| claim.gets > claim.has);
    if raised && raise == Raise::Yes {
        if most.takes <= per_cent(AMPLE_PER_CENT) || !one_alone(claims) {
            return Outcome { raised, ..most };
        }
        return Outcome { takes: total(claims, forms), raised, could_raise: true };
    }
    let could_raise = raised;
    if raised && claims.iter().any(|claim| claim.begins) {
        // Whoever is not seen yet begins, and others may have to give way to that; they become better when it is time.
        let begun = serve_up_to(claims, forms, per_cent(RAISE_PER_CENT), |claim| if claim.begins { claim.count } else { claim.has });
        if claims.iter().any(|claim| claim.gets > claim.has) {
            return Outcome { raised: true, could_raise, ..begun };
        }
    }
    if raised && raise == Raise::Ample {
        let ample = serve(claims, forms, per_cent(AMPLE_PER_CENT));
        if claims.iter().all(|claim| claim.gets >= claim.has) && claims.iter().any(|claim| claim.gets > claim.has) {
            return Outcome { raised: true, could_raise, ..ample };
        }
    }
    // What is had, unless it does not fit any more.
    for claim in claims.iter_mut() {
        claim.gets = claim.has;
    }
    let kept = total(claims, forms);
    if kept <= per_cent(KEEP_PER_CENT) {
        return Outcome { takes: kept, raised: false, could_raise };
    }
    let takes = serve(claims, forms, per_cent(RAISE_PER_CENT)).takes;
    Outcome { takes, raised: claims.iter().any(|claim| claim.gets > claim.has), could_raise }
}

/// Of several pictures that are seen already and would become better, leaves that to the first; whether there were several, and nobody
/// has to give way for them. Each begins with a key frame: two at once make a queue on a way that is nearly full, which is then taken for
/// less than it carries (to 0.90 of it, and all was taken back for sixteen seconds).
fn one_alone(claims: &mut [Claim]) -> bool {
    let seen = |claim: &Claim| claim.has > 0 && claim.gets > claim.has;
    if claims.iter().any(|claim| claim.gets < claim.has || (claim.has == 0 && claim.gets > 0))
        || claims.iter().filter(|claim| seen(claim)).count() < 2
    {
        return false;
    }
    claims.iter_mut().filter(|claim| seen(claim)).skip(1).for_each(|claim| claim.gets = claim.has);
    true
}

/// What an allocation comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What all of it takes.
    pub takes: Bitrate,
    /// Whether anything became better than it was.
    pub raised: bool,
    /// Whether something could be better, and was not allowed to.
    pub could_raise: bool,
}

/// Serves sorted claims from nothing.
fn serve(claims: &mut [Claim], forms: &[Form], budget: Bitrate) -> Outcome {
    serve_up_to(claims, forms, budget, |claim| claim.count)
}

/// Serves sorted claims from nothing, each with no more than `most` says.
fn serve_up_to(claims: &mut [Claim], forms: &[Form], budget: Bitrate, most: fn(&Claim) -> usize) -> Outcome {
    let mut left = budget.as_bps();
    for claim in claims.iter_mut() {
        claim.gets = 0;
        raise(claim, forms, most, &mut left);
    }
    let mut begin = 0;
    while let Some(rank) = claims.get(begin).map(|claim| claim.rank) {
        let end = begin + claims[begin..].iter().take_while(|claim| claim.rank == rank).count();
        raise_all(&mut claims[begin..end], forms, most, &mut left);
        begin = end;
    }
    Outcome { takes: total(claims, forms), raised: false, could_raise: false }
}

/// Raises claims of one rank: always the one that has least, until no step fits.
fn raise_all(claims: &mut [Claim], forms: &[Form], most: fn(&Claim) -> usize, left: &mut u64) {
    let mut full = 0_u64;
    loop {
        let open = (0..claims.len().min(64)).filter(|i| full >> i & 1 == 0 && claims[*i].gets > 0);
        let Some(least) = open.min_by_key(|i| level(&claims[*i], forms)) else { return };
        if !raise(&mut claims[least], forms, most, left) {
            full |= 1 << least;
        }
    }
}

/// Gives a claim its next form, if it fits.
fn raise(claim: &mut Claim, forms: &[Form], most: fn(&Claim) -> usize, left: &mut u64) -> bool {
    let rate = |gets: usize| if gets == 0 { 0 } else { forms.get(claim.first + gets - 1).map_or(0, |form| form.rate.as_bps()) };
    if claim.gets >= claim.count.min(most(claim)) {
        return false;
    }
    let more = rate(claim.gets + 1).saturating_sub(rate(claim.gets));
    if more > *left {
        return false;
    }
    *left -= more;
    claim.gets += 1;
    true
}

fn level(claim: &Claim, forms: &[Form]) -> u8 {
    claim.gets.checked_sub(1).and_then(|last| forms.get(claim.first + last)).map_or(0, |form| form.level)
}

fn total(claims: &[Claim], forms: &[Form]) -> Bitrate {
    let rate = |claim: &Claim| claim.gets.checked_sub(1).and_then(|last| forms.get(claim.first + last)).map_or(0, |form| form.rate.as_bps());
    Bitrate::bps(claims.iter().map(rate).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LADDER: [u64; 3] = [150, 500, 1_500];

    fn people(n: usize) -> (Vec<Claim>, Vec<Form>) {
        let forms = (0..n).flat_map(|_| (1..).zip(LADDER).map(|(level, kbps)| Form { rate: Bitrate::kbps(kbps), level })).collect();
        (
            (0..n).map(|i| Claim { rank: 1, pixels: 1_000 - i as u32, first: i * 3, count: 3, has: 0, begins: false, gets: 0, order: i }).collect(),
            forms,
        )
    }

    fn gets(claims: &[Claim]) -> Vec<usize> {
        let mut by_place: Vec<_> = claims.iter().map(|c| (c.first, c.gets)).collect();
        by_place.sort_unstable();
        by_place.into_iter().map(|(_, gets)| gets).collect()
    }

    fn given(n: usize, kbps: u64) -> Vec<usize> {
        let (mut claims, forms) = people(n);
        allocate(&mut claims, &forms, Bitrate::kbps(kbps), Raise::Yes);
        gets(&claims)
    }

    #[test]
    fn everybody_is_seen_before_anybody_is_seen_well() {
        assert_eq!(given(3, 10_000), [3, 3, 3]);
        assert_eq!(given(3, 500), [1, 1, 1]);
        assert_eq!(given(3, 900), [2, 1, 1]);
        assert_eq!(given(3, 2_700), [3, 2, 2]);
        assert_eq!(given(3, 320), [1, 1, 0]);
        assert_eq!(given(3, 100), [0, 0, 0]);
    }

    #[test]
    fn a_screen_is_served_to_the_full_before_cameras_are_raised() {
        let (mut claims, forms) = people(3);
        claims[2].rank = 4;
        allocate(&mut claims, &forms, Bitrate::kbps(2_000), Raise::Yes);
        assert_eq!(gets(&claims), [1, 1, 3]);
    }

    #[test]
    fn what_is_had_stays_while_it_nearly_fits_and_is_lowered_at_once_when_it_does_not() {
        let (mut claims, forms) = people(2);
        let mut at = |kbps, raise| {
            allocate(&mut claims, &forms, Bitrate::kbps(kbps), raise);
            claims.iter_mut().for_each(|c| c.has = c.gets);
            gets(&claims)
        };
        assert_eq!(at(1_100, Raise::Yes), [2, 2]);
        assert_eq!(at(982, Raise::Yes), [2, 2], "a little too much is kept");
        assert_eq!(at(975, Raise::Yes), [2, 1]);
        assert_eq!(at(1_005, Raise::Yes), [2, 1], "and not raised again before it fits with room to spare");
        assert_eq!(at(1_100, Raise::No), [2, 1], "nor before it may");
        assert_eq!(at(1_500, Raise::Ample), [2, 1], "nor where it would take more than two thirds");
        assert_eq!(at(1_600, Raise::Ample), [2, 2], "but with ample room at once");
    }

    #[test]
    fn whoever_is_not_seen_begins_at_once_and_nobody_becomes_better_with_that() {
        let (mut claims, forms) = people(3);
        (claims[0].has, claims[1].has, claims[2].begins) = (2, 1, true);
        let mut at = |kbps, raise, rank| {
            claims.sort_by_key(|claim| claim.order);
            claims[2].rank = rank;
            let outcome = allocate(&mut claims, &forms, Bitrate::kbps(kbps), raise);
            (gets(&claims), outcome.raised, outcome.could_raise)
        };
        assert_eq!(at(1_300, Raise::Yes, 1), (vec![2, 2, 1], true, false));
        for raise in [Raise::No, Raise::Ample] {
            assert_eq!(at(1_200, raise, 1), (vec![2, 1, 2], true, true), "{raise:?}");
            assert_eq!(at(600, raise, 1), (vec![1, 1, 1], true, true), "{raise:?}: one gives way");
            assert_eq!(at(440, raise, 1), (vec![1, 1, 0], false, false), "{raise:?}: there is no room for it");
            assert_eq!(at(1_850, raise, 4), (vec![1, 1, 3], true, true), "{raise:?}: a screen is served first");
            assert_eq!(at(6_000, raise, 1), (vec![2, 1, 3], true, true), "{raise:?}: others are not raised with it, whatever room there is");
        }
    }

    #[test]
    fn of_several_that_would_become_better_one_does_at_a_time_unless_there_is_ample_room() {
        let (mut claims, forms) = people(3);
        let mut at = |kbps| {
            let outcome = allocate(&mut claims, &forms, Bitrate::kbps(kbps), Raise::Yes);
            claims.iter_mut().for_each(|c| c.has = c.gets);
            (gets(&claims), outcome.could_raise)
        };
        assert_eq!(at(1_600), (vec![2, 2, 2], false), "whoever is not seen yet begins with the others");
        assert_eq!([at(4_600), at(4_600), at(4_600)], [(vec![3, 2, 2], true), (vec![3, 3, 2], true), (vec![3, 3, 3], false)]);
        assert_eq!(at(1_600), (vec![2, 2, 2], false));
        assert_eq!(at(7_000), (vec![3, 3, 3], false));
    }

    /// Every set of forms that fits.
    fn feasible(claims: &[Claim], forms: &[Form], budget: u64) -> Vec<Vec<usize>> {
        let mut sets = vec![vec![]];
        for claim in claims {
            sets = sets.into_iter().flat_map(|set| (0..=claim.count).map(move |gets| [set.clone(), vec![gets]].concat())).collect();
        }
        let rate = |c: &Claim, gets: usize| gets.checked_sub(1).map_or(0, |last| forms[c.first + last].rate.as_bps());
        sets.retain(|set| set.iter().zip(claims).map(|(gets, c)| rate(c, *gets)).sum::<u64>() <= budget);
        sets
    }

    proptest! {
        #[test]
        fn of_alike_pictures_no_set_that_fits_shows_more_of_them_or_the_worst_of_them_better(n in 1usize..5, kbps in 0u64..7_000) {
            let (mut claims, forms) = people(n);
            allocate(&mut claims, &forms, Bitrate::kbps(kbps), Raise::Yes);
            let sorted = |mut set: Vec<usize>| { set.sort_unstable(); set };
            let best = feasible(&claims, &forms, Bitrate::kbps(kbps).as_bps() * RAISE_PER_CENT / 100).into_iter()
                .map(|set| { let seen = set.iter().filter(|gets| **gets > 0).count(); (seen, sorted(set)) }).max();
            let own = gets(&claims);
            prop_assert_eq!(Some((own.iter().filter(|gets| **gets > 0).count(), sorted(own))), best);
        }

        #[test]
        fn nothing_is_given_beyond_the_budget(
            claims in proptest::collection::vec((0u8..4, 0u32..9, proptest::collection::vec(1u64..900, 0..5), 0usize..5, any::<bool>()), 0..9), kbps in 0u64..4_000, raise in any::<bool>(),
        ) {
            let mut forms = Vec::new();
            let mut list: Vec<Claim> = claims.into_iter().map(|(rank, pixels, mut rates, has, begins)| {
                rates.sort_unstable();
                let begins = begins && has.min(rates.len()) == 0;
                let claim = Claim { rank, pixels, first: forms.len(), count: rates.len(), has: has.min(rates.len()), begins, gets: 0, order: 0 };
                forms.extend((1..).zip(rates).map(|(level, kbps)| Form { rate: Bitrate::kbps(kbps), level }));
                claim
            }).collect();
            let outcome = allocate(&mut list, &forms, Bitrate::kbps(kbps), if raise { Raise::Yes } else { Raise::No });
            prop_assert!(outcome.takes.as_bps() <= kbps * 1_000 * KEEP_PER_CENT / 100);
            prop_assert!(list.iter().all(|c| c.gets <= c.count));
            if !raise {
                let had: u64 = list.iter().map(|c| c.has.checked_sub(1).map_or(0, |last| forms[c.first + last].rate.as_bps())).sum();
                prop_assert!(had * 100 > kbps * 1_000 * KEEP_PER_CENT || list.iter().all(|c| c.gets <= c.has || c.begins));
                let begun = list.iter().any(|c| c.begins && c.gets > 0);
                prop_assert!(had * 100 > kbps * 1_000 * KEEP_PER_CENT || begun || list.iter().all(|c| c.gets == c.has));
            }
        }
    }
}
