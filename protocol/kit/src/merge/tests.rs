use futures_util::{FutureExt as _, stream};
use proptest::prelude::*;
use tokio::{
    sync::mpsc,
    time::{Instant, advance},
};
use tokio_stream::wrappers::ReceiverStream;

use super::*;

/// Time and name; a time of 0 is an item without one, `u32::MAX` the sign of the present.
type Item = (u32, char);
type Inlet = mpsc::Sender<Item>;

fn place(item: &Item) -> Place<u32> {
    match item.0 {
        0 => Place::Next,
        u32::MAX => Place::Present,
        at => Place::At(at),
    }
}

struct World {
    inlets: Vec<Inlet>,
    merged: Pin<Box<dyn Stream<Item = Item>>>,
}

fn world(streams: usize, patience: Option<Duration>) -> World {
    let (inlets, outlets): (Vec<_>, Vec<_>) = (0..streams).map(|_| mpsc::channel(64)).unzip();
    let outlets = outlets.into_iter().map(ReceiverStream::new);
    let merged = Box::pin(merge_by_time(outlets, stream::empty(), patience, place));
    World { inlets, merged }
}

impl World {
    fn say(&self, stream: usize, items: &[Item]) {
        for item in items {
            self.inlets[stream].try_send(*item).unwrap();
        }
    }

    /// The names of what is ready.
    fn ready(&mut self) -> String {
        std::iter::from_fn(|| self.merged.next().now_or_never().flatten())
            .map(|(_, name)| name)
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is past comes in order of time, each stream's own order is kept, and nothing is lost.
    #[test]
    fn what_is_past_comes_in_order(streams in prop::collection::vec(prop::collection::vec(0_u32..50, 0..20), 1..6)) {
        let named = streams.into_iter().zip('a'..).map(|(mut times, name)| {
            times.sort_unstable();
            times.into_iter().map(|at| (at, name)).collect::<Vec<_>>()
        });
        let streams: Vec<Vec<Item>> = named.collect();
        let sources = streams.clone().into_iter().map(stream::iter);
        let all = merge_by_time(sources, stream::empty(), None, place);
        let all: Vec<Item> = all.collect::<Vec<_>>().now_or_never().unwrap();
        // An item without a time stands with the one before it.
        let mut newest = 0;
        for (at, _) in &all {
            prop_assert!(*at == 0 || *at >= newest);
            newest = newest.max(*at);
        }
        for (stream, name) in streams.iter().zip('a'..) {
            let of: Vec<Item> = all.iter().filter(|(_, one)| *one == name).copied().collect();
            prop_assert_eq!(&of, stream);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_behind_is_waited_for_as_long_as_the_patience_lasts() {
    let mut it = world(3, Some(Duration::from_secs(1)));
    it.say(0, &[(10, 'a'), (30, 'c'), (50, 'e')]);
    it.say(1, &[(20, 'b'), (0, 'n'), (40, 'd')]);
    assert_eq!(it.ready(), "", "the third may say something older");
    advance(Duration::from_millis(999)).await;
    assert_eq!(it.ready(), "");
    it.say(2, &[(5, 'x')]);
    assert_eq!(it.ready(), "x", "now it may say the next");
    advance(Duration::from_millis(1_001)).await;
    assert_eq!(
        it.ready(),
        "abncd",
        "nothing is known of what the second says next"
    );
    advance(Duration::from_millis(1_001)).await;
    assert_eq!(it.ready(), "e");
    advance(Duration::from_millis(1_001)).await;
    assert_eq!(it.ready(), "", "the first has no more to say either");

    // All have caught up: what comes is given at once.
    let begun = Instant::now();
    it.say(1, &[(60, 'f')]);
    it.say(2, &[(55, 'g'), (58, 'h')]);
    assert_eq!(it.ready(), "ghf", "what is there together is still in order");
    it.say(0, &[(1, 'i')]);
    assert_eq!(it.ready(), "i");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    it.inlets.clear();
    assert_eq!(it.merged.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_says_that_it_has_caught_up_is_not_waited_for() {
    let mut it = world(2, None);
    it.say(0, &[(10, 'a'), (u32::MAX, '!'), (20, 'c')]);
    assert_eq!(it.ready(), "");
    it.say(1, &[(15, 'b'), (u32::MAX, '!')]);
    assert_eq!(it.ready(), "abc");
    it.say(1, &[(30, 'd')]);
    assert_eq!(it.ready(), "d");
}

#[tokio::test]
async fn one_that_joins_later_is_not_waited_for() {
    let (join, later) = mpsc::channel(64);
    let first = stream::iter([(10, 'a'), (30, 'c')]).boxed();
    let mut merged = merge_by_time([first], ReceiverStream::new(later), None, place);
    let (inlet, outlet) = mpsc::channel(64);
    join.try_send(ReceiverStream::new(outlet).boxed()).unwrap();
    assert_eq!(merged.next().await, Some((10, 'a')));
    inlet.try_send((20, 'b')).unwrap();
    assert_eq!(merged.next().await, Some((20, 'b')));
    assert_eq!(merged.next().await, Some((30, 'c')));
    assert_eq!(merged.next().now_or_never(), None, "others may join");
    drop((join, inlet));
    assert_eq!(merged.next().await, None);
}
