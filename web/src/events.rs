//! The event stream: numbered, replayable for a while, with a bounded queue per listener.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

/// How many events are kept for listeners who come back.
const REPLAY_MAX: usize = 512;

/// How many events wait for one listener before it counts as slow and is sent away. Holds a whole
/// replay and a burst of live events.
const QUEUE_MAX: usize = 1024;

/// How many listeners there may be at once.
const LISTENERS_MAX: usize = 256;

/// One event as it goes to all listeners.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its number in this run of the process; `None` for what is out of date at once.
    pub(crate) number: Option<u64>,
    /// Its name: `block`, `cleared`, `settled` or `status`.
    pub(crate) name: &'static str,
    /// Its JSON.
    pub(crate) data: String,
}

/// The events of this process, and who listens.
#[derive(Debug)]
pub(crate) struct Events {
    /// Told apart from the events of an earlier run by when this run began.
    run: String,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    last: u64,
    kept: VecDeque<Arc<Event>>,
    listeners: Vec<mpsc::Sender<Arc<Event>>>,
    closed: bool,
}

/// There are as many listeners as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{LISTENERS_MAX} listeners are connected")]
pub(crate) struct TooManyListeners;

impl Events {
    /// No events yet. `run` names this run of the process: ids of another run replay nothing.
    pub(crate) fn new(run: String) -> Self {
        Self { run, board: Mutex::default() }
    }

    /// Tells something that stays true: it is numbered and kept for a while.
    pub(crate) fn tell(&self, name: &'static str, payload: &impl Serialize) {
        let Some(data) = to_json(name, payload) else { return };
        let mut board = self.board();
        board.last = board.last.saturating_add(1);
        let event = Arc::new(Event { number: Some(board.last), name, data });
        if board.kept.len() == REPLAY_MAX {
            board.kept.pop_front();
        }
        board.kept.push_back(Arc::clone(&event));
        board.send(&event);
    }

    /// Tells how things are now: neither numbered nor kept.
    pub(crate) fn tell_now(&self, name: &'static str, payload: &impl Serialize) {
        let Some(data) = to_json(name, payload) else { return };
        self.board().send(&Arc::new(Event { number: None, name, data }));
    }

    /// Listens from now on, or from behind the event with the given id, as far as it is kept. The
    /// queue ends when the listener is too slow or the process stops: it has to come back.
    ///
    /// # Errors
    /// [`TooManyListeners`].
    pub(crate) fn listen(
        &self,
        last_id: Option<&str>,
    ) -> Result<mpsc::Receiver<Arc<Event>>, TooManyListeners> {
        let mut board = self.board();
        board.listeners.retain(|listener| !listener.is_closed());
        if board.listeners.len() >= LISTENERS_MAX {
            return Err(TooManyListeners);
        }
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        if let Some(last) = last_id.and_then(|id| self.number_of(id)) {
            for event in board.kept.iter().filter(|event| event.number > Some(last)) {
                // The queue is longer than all that is kept.
                let _ = sender.try_send(Arc::clone(event));
            }
        }
        if !board.closed {
            board.listeners.push(sender);
        }
        Ok(receiver)
    }

    /// The id of an event on the wire.
    pub(crate) fn id_of(&self, event: &Event) -> Option<String> {
        event.number.map(|number| format!("{}-{number}", self.run))
    }

    /// How many listen.
    pub(crate) fn listeners_count(&self) -> usize {
        let mut board = self.board();
        board.listeners.retain(|listener| !listener.is_closed());
        board.listeners.len()
    }

    /// Ends all streams, now and later: the process stops.
    pub(crate) fn close(&self) {
        let mut board = self.board();
        board.closed = true;
        board.listeners.clear();
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Whoever cannot take it is dropped: its queue ends behind what it holds.
    fn send(&mut self, event: &Arc<Event>) {
        self.listeners.retain(|listener| listener.try_send(Arc::clone(event)).is_ok());
    }
}

fn to_json(name: &str, payload: &impl Serialize) -> Option<String> {
    serde_json::to_string(payload)
        .inspect_err(|error| tracing::error!(name, %error, "an event cannot be written"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(queue: &mut mpsc::Receiver<Arc<Event>>) -> Vec<u64> {
        std::iter::from_fn(|| queue.try_recv().ok()).filter_map(|event| event.number).collect()
    }

    #[test]
    fn who_comes_back_gets_what_it_missed_once_and_in_order() {
        let events = Events::new("run".to_owned());
        (0..10).for_each(|height| events.tell("block", &height));
        let mut queue = events.listen(Some("run-7")).unwrap();
        events.tell("block", &10);
        assert_eq!(numbers(&mut queue), [8, 9, 10, 11]);
        for fresh in [None, Some("other-7"), Some("run-x"), Some("")] {
            assert!(numbers(&mut events.listen(fresh).unwrap()).is_empty());
        }
    }

    #[test]
    fn a_slow_listener_is_sent_away_and_holds_up_nobody() {
        let events = Events::new("run".to_owned());
        let mut slow = events.listen(None).unwrap();
        let mut quick = events.listen(None).unwrap();
        for height in 0..2 * QUEUE_MAX {
            events.tell("block", &height);
            assert_eq!(numbers(&mut quick).len(), 1);
        }
        assert_eq!(numbers(&mut slow).len(), QUEUE_MAX);
        assert_eq!(slow.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
        assert_eq!(events.listeners_count(), 1);
    }

    #[test]
    fn listeners_are_counted_and_their_number_is_bounded() {
        let events = Events::new("run".to_owned());
        let held: Vec<_> = (0..LISTENERS_MAX).map(|_| events.listen(None).unwrap()).collect();
        assert!(events.listen(None).is_err());
        drop(held);
        assert_eq!(events.listeners_count(), 0);
        let mut queue = events.listen(None).unwrap();
        events.close();
        assert!(queue.try_recv().is_err() && queue.is_closed());
        assert!(events.listen(None).unwrap().try_recv().is_err());
    }
}
