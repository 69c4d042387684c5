//! Many jobs, a few at the same time.

use anyhow::{Context, Result};
use tokio::task::JoinSet;

/// Runs `jobs`, at most so many at the same time, and tells `done` how many are done after each.
/// Gives what came of them in their order.
///
/// # Errors
/// The first job's that fails.
pub(crate) async fn at_once<T: Send + 'static>(
    most: usize,
    jobs: impl IntoIterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
    mut done: impl FnMut(usize),
) -> Result<Vec<T>> {
    let mut waiting = jobs.into_iter().enumerate();
    let (mut tasks, mut results) = (JoinSet::new(), Vec::new());
    loop {
        while tasks.len() < most {
            let Some((number, job)) = waiting.next() else { break };
            tasks.spawn(async move { job.await.map(|result| (number, result)) });
        }
        let Some(task) = tasks.join_next().await else { break };
        results.push(task.context("a task ended early")??);
        done(results.len());
    }
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_came_of_jobs_is_in_their_order_and_few_run_at_the_same_time() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..20).map(|number| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..20 - number {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(number)
            }
        });
        let mut told = Vec::new();
        let results = at_once(4, jobs, |done| told.push(done)).await.unwrap();
        assert!(results.into_iter().eq(0..20) && told.into_iter().eq(1..=20));
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn one_that_fails_ends_all() {
        let jobs = (0..9).map(|number| async move {
            anyhow::ensure!(number != 5, "the sixth");
            Ok(())
        });
        let error = at_once(2, jobs, |_| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "the sixth");
    }
}
