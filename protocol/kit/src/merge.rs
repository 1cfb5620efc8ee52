//! Streams that are each in order of time become one that is.
//!
//! A stream is waited for as long as its next item could be the oldest. One that says that it has caught up with the present, or
//! has nothing ready for as long as the patience lasts, is not waited for any more: its items come as they arrive. So what is past
//! comes in order, and what is new comes at once.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    Stream, StreamExt as _,
    stream::{Fuse, FuturesUnordered},
};
use tokio::time::Sleep;

/// Where an item belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<K> {
    /// To this time.
    At(K),
    /// Behind the item before it.
    Next,
    /// It is no item, but says that its stream has caught up with the present.
    Present,
}

/// A stream, and how far it is.
struct Source<S, K> {
    stream: S,
    /// Decides between items of the same time.
    place: usize,
    /// The time of its newest item: those without one belong behind it.
    at: Option<K>,
    caught_up: bool,
}

/// The next item of a stream that had none ready.
struct Next<S, K>(Option<Source<S, K>>);

impl<S: Stream + Unpin, K: Unpin> Future for Next<S, K> {
    /// With no item, it has ended.
    type Output = Option<(Option<S::Item>, Source<S, K>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(source) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        match source.stream.poll_next_unpin(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => Poll::Ready(self.0.take().map(|source| (item, source))),
        }
    }
}

/// The oldest item of a stream.
struct Head<S: Stream, K> {
    item: S::Item,
    source: Source<S, K>,
}

impl<S: Stream, K: Ord> Ord for Head<S, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        let of = |head: &Self| head.source.place;
        self.source
            .at
            .cmp(&other.source.at)
            .then_with(|| of(self).cmp(&of(other)))
    }
}

impl<S: Stream, K: Ord> PartialOrd for Head<S, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: Stream, K: Ord> Eq for Head<S, K> {}

impl<S: Stream, K: Ord> PartialEq for Head<S, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// One stream out of many; ends when all have, and no more come.
pub struct MergeByTime<A, S: Stream, K> {
    /// Streams that join later: nobody waits for those.
    later: Fuse<A>,
    heads: BinaryHeap<Reverse<Head<S, K>>>,
    waiting: FuturesUnordered<Next<S, K>>,
    /// How many of those that are waited for have not caught up.
    behind: usize,
    places: usize,
    place_of: fn(&S::Item) -> Place<K>,
    patience: Option<Duration>,
    /// Since something is missing.
    waited: Option<Pin<Box<Sleep>>>,
}

/// Items are held, not pinned.
impl<A, S: Stream, K> Unpin for MergeByTime<A, S, K> {}

impl<A, S: Stream, K> std::fmt::Debug for MergeByTime<A, S, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeByTime")
            .field("heads", &self.heads.len())
            .field("waiting", &self.waiting.len())
            .field("behind", &self.behind)
            .finish_non_exhaustive()
    }
}

/// Merges streams. With no `patience` every stream is waited for until it has caught up or ends. Streams of `later` join as they
/// come, and nobody waits for them.
pub fn merge_by_time<A, S, K>(
    streams: impl IntoIterator<Item = S>,
    later: A,
    patience: Option<Duration>,
    place_of: fn(&S::Item) -> Place<K>,
) -> MergeByTime<A, S, K>
where
    A: Stream<Item = S> + Unpin,
    S: Stream + Unpin,
    K: Ord + Copy + Unpin,
{
    let mut merge = MergeByTime {
        later: later.fuse(),
        heads: BinaryHeap::new(),
        waiting: FuturesUnordered::new(),
        behind: 0,
        places: 0,
        place_of,
        patience,
        waited: None,
    };
    for stream in streams {
        merge.join(stream, false);
    }
    merge
}

impl<A, S, K> MergeByTime<A, S, K>
where
    S: Stream + Unpin,
    K: Ord + Copy + Unpin,
{
    fn join(&mut self, stream: S, caught_up: bool) {
        let place = self.places;
        self.places += 1;
        self.wait_for(Source {
            stream,
            place,
            at: None,
            caught_up,
        });
    }

    fn wait_for(&mut self, source: Source<S, K>) {
        self.behind += usize::from(!source.caught_up);
        self.waiting.push(Next(Some(source)));
    }

    fn head(&mut self, item: S::Item, mut source: Source<S, K>) {
        match (self.place_of)(&item) {
            Place::At(at) => source.at = source.at.max(Some(at)),
            Place::Next => {}
            Place::Present => {
                source.caught_up = true;
                return self.wait_for(source);
            }
        }
        self.heads.push(Reverse(Head { item, source }));
    }

    /// Takes in what has become ready.
    fn gather(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(next)) = self.waiting.poll_next_unpin(cx) {
            let Some((item, source)) = next else { continue };
            self.behind -= usize::from(!source.caught_up);
            if let Some(item) = item {
                self.head(item, source);
            }
        }
    }

    /// Whether all have been waited for long enough. They count as caught up from then on.
    fn out_of_patience(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(patience) = self.patience else {
            return false;
        };
        let waited = self
            .waited
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if waited.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.waited = None;
        for Next(source) in self.waiting.iter_mut() {
            source.iter_mut().for_each(|source| source.caught_up = true);
        }
        self.behind = 0;
        true
    }
}

impl<A, S, K> Stream for MergeByTime<A, S, K>
where
    A: Stream<Item = S> + Unpin,
    S: Stream + Unpin,
    K: Ord + Copy + Unpin,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        while let Poll::Ready(Some(stream)) = this.later.poll_next_unpin(cx) {
            this.join(stream, true);
        }
        this.gather(cx);
        if this.behind > 0 && !this.out_of_patience(cx) {
            return Poll::Pending;
        }
        this.waited = None;
        let Some(Reverse(Head { item, mut source })) = this.heads.pop() else {
            let over = this.waiting.is_empty() && this.later.is_done();
            return if over { Poll::Ready(None) } else { Poll::Pending };
        };
        // Mostly more is ready, and then nothing has to be woken for it.
        match source.stream.poll_next_unpin(cx) {
            Poll::Ready(Some(next)) => this.head(next, source),
            Poll::Ready(None) => {}
            Poll::Pending => this.wait_for(source),
        }
        Poll::Ready(Some(item))
    }
}

#[cfg(test)]
mod tests;
