//! What is ready together is taken together, up to so many items and so many bytes: many small things travel as one, and a
//! few large ones never pile up.

use futures_util::{FutureExt as _, Stream, StreamExt as _};

/// Bounds of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    /// Most items.
    pub items: usize,
    /// No item is added once there are so many bytes; the last one may lie above.
    pub bytes: usize,
}

impl Gather {
    /// Waits for an item, and takes those that are ready behind it. `None` at the end of the stream. Can be dropped while it
    /// waits: nothing is taken before it is given.
    pub async fn next<S: Stream + Unpin>(
        self,
        stream: &mut S,
        size: impl Fn(&S::Item) -> usize,
    ) -> Option<Vec<S::Item>> {
        let mut batch = vec![stream.next().await?];
        self.more(stream, size, &mut batch);
        Some(batch)
    }

    /// Adds what is ready by now to a batch.
    pub fn more<S: Stream + Unpin>(
        self,
        stream: &mut S,
        size: impl Fn(&S::Item) -> usize,
        batch: &mut Vec<S::Item>,
    ) {
        let mut bytes: usize = batch.iter().map(&size).sum();
        while batch.len() < self.items && bytes < self.bytes {
            let Some(Some(item)) = stream.next().now_or_never() else {
                return;
            };
            bytes += size(&item);
            batch.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[test]
    fn batches_end_at_either_bound() {
        let check = |sizes: &[usize], items: usize, bytes: usize, batches: &[usize]| {
            let mut stream = stream::iter(sizes.to_vec());
            let gather = Gather { items, bytes };
            let mut got = Vec::new();
            while let Some(batch) = gather.next(&mut stream, |size| *size).now_or_never().unwrap() {
                got.push(batch.len());
            }
            assert_eq!(got, batches, "{sizes:?} in {items} items, {bytes} bytes");
        };
        check(&[], 3, 100, &[]);
        check(&[1; 7], 3, 100, &[3, 3, 1]);
        check(&[60, 60, 60, 1], 9, 100, &[2, 2]);
        check(&[500, 1, 500], 9, 100, &[1, 2]);
    }
}
