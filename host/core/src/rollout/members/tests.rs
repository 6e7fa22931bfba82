//! What is kept up agrees with a recount, whatever is done in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::Timestamp;
use crate::rollout::{Hooked, MemberState, Stay, Trip, Way};

/// Something done to one of a few members.
#[derive(Debug, Clone)]
enum Deed {
    Insert { id: usize, batch: u32, position: usize, state: MemberState },
    Remove { id: usize },
    Place { id: usize, batch: u32, position: usize },
    Become { id: usize, state: MemberState },
    Replace { id: usize, way: Way },
    Visit { batch: u32, state: MemberState },
}

fn id(number: usize) -> InstanceId {
    InstanceId::parse(&format!("web-{number}")).unwrap()
}

fn any_state() -> impl Strategy<Value = MemberState> {
    let at = Timestamp(7);
    prop::sample::select(vec![
        MemberState::Pending,
        MemberState::Applying { since: at, part: 0 },
        MemberState::Settling { applied_at: at, healthy_since: None },
        MemberState::Creating { since: at },
        MemberState::Ready { applied_at: at },
        MemberState::Deleting { since: at },
        MemberState::Removing { since: at },
        MemberState::Succeeded { at },
        MemberState::Restoring { since: at, part: 0 },
        MemberState::Failed { at },
    ])
}

/// Whose place is taken is one member's own: new instances have ids of their own.
fn any_way(id: usize) -> impl Strategy<Value = Way> {
    let by = self::id(id + 100);
    prop::sample::select(vec![Way::InPlace, Way::Surge, Way::Beside { by: by.clone() }, Way::Instead { by }])
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let place = (0_usize..6, 0_u32..3, 0_usize..4);
    prop_oneof![
        3 => (place.clone(), any_state())
            .prop_map(|((id, batch, position), state)| Deed::Insert { id, batch, position, state }),
        1 => (0_usize..6).prop_map(|id| Deed::Remove { id }),
        1 => place.prop_map(|(id, batch, position)| Deed::Place { id, batch, position }),
        3 => (0_usize..6, any_state()).prop_map(|(id, state)| Deed::Become { id, state }),
        1 => (0_usize..6).prop_flat_map(|id| any_way(id).prop_map(move |way| Deed::Replace { id, way })),
        1 => (0_u32..3, any_state()).prop_map(|(batch, state)| Deed::Visit { batch, state }),
    ]
}

fn perform(members: &mut Members, deed: Deed) {
    match deed {
        Deed::Insert { id, batch, position, state } => {
            let member = Member {
                batch,
                position,
                way: Way::InPlace,
                parts: Vec::new(),
                attempt: 0,
                trip: Trip::None,
                hooked: Hooked::default(),
                stay: Stay::Yes,
                listed_as: None,
                state,
            };
            members.insert(self::id(id), member);
        }
        Deed::Remove { id } => _ = members.remove(&self::id(id)),
        Deed::Place { id, batch, position } => members.place(&self::id(id), batch, position),
        Deed::Become { id, state } => _ = members.update(&self::id(id), |member| member.state = state),
        Deed::Replace { id, way } => _ = members.update(&self::id(id), |member| member.way = way),
        Deed::Visit { batch, state } => members.visit_batch(batch, |_, _| Some(state.clone())),
    }
}

/// Counts by looking at each.
fn recount<'a>(all: impl Iterator<Item = &'a Member>) -> Progress {
    let mut progress = Progress::default();
    for member in all {
        match () {
            () if member.state == MemberState::Pending => progress.pending += 1,
            () if member.state.is_in_flight() => progress.in_progress += 1,
            () if matches!(member.state, MemberState::Failed { .. }) => progress.failed += 1,
            () => progress.successful += 1,
        }
    }
    progress
}

proptest! {
    #[test]
    fn counts_are_those_of_a_recount(deeds in prop::collection::vec(any_deed(), 0..40)) {
        let mut members = Members::default();
        for deed in deeds {
            perform(&mut members, deed.clone());
            prop_assert!(members.is_counted_right(), "after {:?}: {:?}", deed, members);
            prop_assert_eq!(members.progress(), recount(members.values()));
            for batch in 0..3 {
                let here = members.values().filter(|member| member.batch == batch);
                prop_assert_eq!(members.progress_of(batch), recount(here), "batch {}", batch);
            }
            let with = |is_it: fn(&MemberState) -> bool| -> BTreeSet<&InstanceId> {
                members.iter().filter(|(_, member)| is_it(&member.state)).map(|(id, _)| id).collect()
            };
            prop_assert_eq!(members.in_flight().collect::<BTreeSet<_>>(), with(MemberState::is_in_flight));
            let failed = |state: &MemberState| matches!(state, MemberState::Failed { .. });
            prop_assert_eq!(members.failed().collect::<BTreeSet<_>>(), with(failed));
            for number in 0..6 {
                let own = members.get(&id(number)).map(|_| id(number));
                prop_assert_eq!(members.behind(&id(number)).map(|(id, _)| id.clone()), own);
                let replaced = members.get(&id(number)).and_then(Member::replacement).map(|_| id(number));
                prop_assert_eq!(members.behind(&id(number + 100)).map(|(id, _)| id.clone()), replaced);
            }
        }
    }
}
