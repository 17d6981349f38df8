//! Who is served next.

use letmein_common::UserId;
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};
use tokio::sync::oneshot;

/// A waiting room with `capacity` places, from which `at_once` are served at a time. Users take turns: after one request
/// of a user, everybody else who is waiting comes first.
///
/// What this guarantees, with *n* users who are waiting:
///
/// - A user who is not waiting for anything gets a place, as long as *n* is less than `capacity`: nobody may take more
///   places than there are left.
/// - The first request of a user waits for no more than `at_once` + *n* others.
pub struct Turns(RefCell<Room>);

struct Room {
    capacity: usize,
    at_once: usize,
    served: usize,
    taken: usize,
    waiting: HashMap<UserId, VecDeque<oneshot::Sender<()>>>,
    /// Who is waiting, the next first.
    order: VecDeque<UserId>,
}

/// A place in the waiting room and, once it is its turn, at the desk. Both are free again when it is dropped.
pub struct Place {
    turns: Rc<Turns>,
    turn: oneshot::Receiver<()>,
    is_served: bool,
}

impl Turns {
    /// Nobody is waiting.
    #[must_use]
    pub fn new(capacity: usize, at_once: usize) -> Self {
        Self(RefCell::new(Room {
            capacity,
            at_once,
            served: 0,
            taken: 0,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        }))
    }

    /// A place for a request of this user, unless the user has too many already.
    #[must_use]
    pub fn enter(self: &Rc<Self>, user: UserId) -> Option<Place> {
        let (called, turn) = oneshot::channel();
        let mut room = self.0.borrow_mut();
        let left = room.capacity.saturating_sub(room.taken);
        let own = room.waiting.get(&user).map_or(0, VecDeque::len);
        if own >= left {
            return None;
        }
        if own == 0 {
            room.order.push_back(user);
        }
        room.taken += 1;
        room.waiting.entry(user).or_default().push_back(called);
        room.call();
        Some(Place {
            turns: Rc::clone(self),
            turn,
            is_served: false,
        })
    }
}

impl Room {
    /// Calls as many as can be served.
    fn call(&mut self) {
        while self.served < self.at_once
            && let Some(user) = self.order.pop_front()
        {
            let Some(queue) = self.waiting.get_mut(&user) else {
                continue;
            };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&user);
            } else {
                self.order.push_back(user);
            }
            self.taken = self.taken.saturating_sub(1);
            // Whoever has given up is passed over.
            if next.is_some_and(|called| called.send(()).is_ok()) {
                self.served += 1;
            }
        }
    }
}

impl Place {
    /// Waits until it is this one's turn.
    pub async fn turn(&mut self) {
        if !self.is_served {
            // The room lives as long as this place, and forgets nobody.
            let _called = (&mut self.turn).await;
            self.is_served = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may have been called without having noticed.
        if self.is_served || self.turn.try_recv().is_ok() {
            let mut room = self.turns.0.borrow_mut();
            room.served = room.served.saturating_sub(1);
            room.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserId = UserId(1);
    const MALLORY: UserId = UserId(13);

    fn is_called(place: &mut Place) -> bool {
        place.is_served = place.is_served || place.turn.try_recv().is_ok();
        place.is_served
    }

    #[test]
    fn users_take_turns() {
        let turns = Rc::new(Turns::new(100, 2));
        let mut greedy: VecDeque<_> = (0..10).map(|_| turns.enter(MALLORY).unwrap()).collect();
        let mut alice = turns.enter(ALICE).unwrap();
        assert!(!is_called(&mut alice));
        // Two are being served, and one was next before she came.
        drop(greedy.pop_front());
        assert!(!is_called(&mut alice));
        drop(greedy.pop_front());
        assert!(is_called(&mut alice));
        assert_eq!(
            greedy.iter_mut().map(is_called).filter(|called| *called).count(),
            1
        );
    }

    #[test]
    fn a_greedy_user_leaves_half_and_a_newcomer_finds_a_place() {
        let turns = Rc::new(Turns::new(100, 1));
        let mut places = Vec::new();
        for user in 0..5 {
            while let Some(place) = turns.enter(UserId(100 + user)) {
                places.push(place);
            }
            // One is served and takes no place any more.
            assert!(turns.0.borrow().taken < 100);
        }
        assert!(turns.enter(ALICE).is_some());
    }

    #[test]
    fn whoever_gives_up_is_passed_over_and_holds_nobody_up() {
        let turns = Rc::new(Turns::new(100, 1));
        let first = turns.enter(MALLORY).unwrap();
        let gone: Vec<_> = (0..5).map(|_| turns.enter(MALLORY).unwrap()).collect();
        let mut last = turns.enter(MALLORY).unwrap();
        drop(gone);
        assert!(!is_called(&mut last));
        drop(first);
        assert!(is_called(&mut last));
        // Called, and given up before it has noticed.
        let unnoticed = turns.enter(ALICE).unwrap();
        let mut next = turns.enter(MALLORY).unwrap();
        drop(last);
        drop(unnoticed);
        assert!(is_called(&mut next));
        drop(next);
        let room = turns.0.borrow();
        assert_eq!(
            (room.taken, room.served, room.waiting.len(), room.order.len()),
            (0, 0, 0, 0)
        );
    }

    #[tokio::test]
    async fn a_turn_comes() {
        let turns = Rc::new(Turns::new(2, 1));
        let mut first = turns.enter(MALLORY).unwrap();
        let mut second = turns.enter(ALICE).unwrap();
        first.turn().await;
        first.turn().await;
        drop(first);
        second.turn().await;
    }
}
