//! When tasks are done.

use std::time::Duration;

use tokio::time::Instant;

use crate::controllers::kind::Kind;
use crate::controllers::queue::{Awaited, Queue};
use crate::controllers::task::{Attempt, Failure, Task};

fn task(name: &str) -> Task {
    Task::Namespace(name.to_owned())
}

fn started(queue: &mut Queue, now: Instant) -> Option<Task> {
    queue.start(now).map(|(task, _)| task)
}

#[test]
fn a_task_is_done_once_and_not_twice_at_a_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.add(task("a"));
    queue.add(task("a"));
    queue.add(task("b"));
    assert_eq!(started(&mut queue, now), Some(task("a")));
    assert_eq!(started(&mut queue, now), Some(task("b")));
    assert_eq!(started(&mut queue, now), None);
    queue.add(task("a"));
    assert_eq!(started(&mut queue, now), None, "it is running");
    queue.done(task("a"), Awaited::default(), now);
    assert_eq!(started(&mut queue, now), Some(task("a")));
    queue.done(task("a"), Awaited::default(), now);
    queue.done(task("b"), Awaited::default(), now);
    assert!(queue.is_idle());
}

#[test]
fn a_task_waits_until_its_writes_are_shown() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.add(task("a"));
    started(&mut queue, now);
    let mut awaited = Awaited::default();
    awaited.written(Kind::Pod, 12);
    awaited.written(Kind::Pod, 10);
    awaited.written(Kind::Service, 14);
    awaited.departures.insert("gone".to_owned());
    queue.done(task("a"), awaited, now);
    queue.add(task("a"));
    assert_eq!(started(&mut queue, now), None);
    queue.shown(Kind::Pod, 11);
    queue.shown(Kind::Service, 20);
    queue.departed("gone");
    queue.departed("another");
    assert_eq!(started(&mut queue, now), None);
    queue.shown(Kind::Pod, 12);
    assert_eq!(started(&mut queue, now), Some(task("a")));
    assert_eq!(queue.next_due(), None, "nothing of the wait is left");
}

#[test]
fn what_is_never_shown_is_not_waited_for_for_ever() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.add(task("a"));
    started(&mut queue, now);
    let mut awaited = Awaited::default();
    awaited.written(Kind::Pod, 12);
    queue.done(task("a"), awaited, now);
    let due = queue.next_due().unwrap();
    assert_eq!(started(&mut queue, due - Duration::from_millis(1)), None);
    assert_eq!(started(&mut queue, due), Some(task("a")));
    queue.done(task("a"), Awaited::default(), due);
    queue.shown(Kind::Pod, 12);
    assert!(queue.is_idle());
}

#[test]
fn what_fails_is_tried_again_ever_later_and_told_once() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    let failure = |message: &str| Failure { message: message.to_owned(), attempt: Attempt::Create };
    queue.add(task("a"));
    let mut pauses = Vec::new();
    for attempt in 0..14 {
        let (started, before) = queue.start(now).unwrap();
        assert_eq!(before.is_some(), attempt > 0);
        let news = queue.failed(started, Awaited::default(), failure("no"), now);
        assert_eq!(news, attempt == 0);
        assert_eq!(queue.start(now), None);
        let due = queue.next_due().unwrap();
        pauses.push(due - now);
        now = due;
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert_eq!(pauses[0], Duration::from_millis(20));
    assert_eq!(pauses[13], Duration::from_secs(30));
    let (again, _) = queue.start(now).unwrap();
    assert!(queue.failed(again, Awaited::default(), failure("something else"), now));
    // After it has gone well, it begins anew.
    now = queue.next_due().unwrap();
    let (again, _) = queue.start(now).unwrap();
    queue.done(again, Awaited::default(), now);
    queue.add(task("a"));
    assert_eq!(queue.start(now), Some((task("a"), None)));
}

#[test]
fn of_several_times_the_earliest_counts() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let at = |seconds| now + Duration::from_secs(seconds);
    queue.add_at(task("a"), at(20));
    queue.add_at(task("a"), at(10));
    queue.add_at(task("a"), at(30));
    assert_eq!(queue.next_due(), Some(at(10)));
    assert_eq!(started(&mut queue, at(9)), None);
    assert_eq!(started(&mut queue, at(10)), Some(task("a")));
    queue.done(task("a"), Awaited::default(), at(10));
    assert_eq!(queue.next_due(), None);
}
