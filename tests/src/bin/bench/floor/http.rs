//! HTTP over a Unix socket with the libraries of the control API, and nothing behind it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery};
use axum::http::StatusCode;
use axum::routing::get;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};

use crate::percentile::median;
use crate::scale::CALLERS;
use crate::source::DataSource;
use crate::usage;

const THREADS: &str = "http-floor";
const REQUESTS: usize = 8_000;

/// Small requests.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// From several callers at once.
    pub per_s: f64,
    /// From one.
    pub median_ms: f64,
}

/// A server on threads of its own, so that its CPU can be told from its client's.
pub struct Server {
    socket: PathBuf,
    _runtime: Runtime,
}

impl Server {
    pub fn start(folder: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name(THREADS).enable_all().build()?;
        let socket = folder.join("floor.sock");
        // Of the floor before.
        let _ = std::fs::remove_file(&socket);
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket)?
        };
        let routes = Router::new()
            .route("/", get(source).put(sink))
            .route("/small", get(|| async { [7; 4096] }))
            .layer(DefaultBodyLimit::disable());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { socket, _runtime: runtime })
    }

    /// CPU seconds of all servers' threads so far.
    pub fn cpu_s() -> Result<f64> {
        usage::threads_cpu_s(THREADS)
    }

    fn client(&self) -> Result<reqwest::Client> {
        Ok(reqwest::Client::builder().no_proxy().unix_socket(self.socket.as_path()).build()?)
    }

    pub async fn up(&self, bytes: u64) -> Result<()> {
        let body = reqwest::Body::wrap_stream(DataSource::new(8).stream(bytes));
        self.client()?.put("http://localhost/").body(body).send().await?.error_for_status()?;
        Ok(())
    }

    pub async fn down(&self, bytes: u64) -> Result<()> {
        let response = self.client()?.get(format!("http://localhost/?{bytes}")).send().await?;
        let got = response.bytes_stream().try_fold(0, |sum, part| async move { Ok(sum + part.len() as u64) }).await?;
        anyhow::ensure!(got == bytes, "{got} bytes of {bytes}");
        Ok(())
    }

    pub async fn requests(&self) -> Result<Requests> {
        let client = self.client()?;
        let ask = || async {
            let begun = Instant::now();
            client.get("http://localhost/small").send().await?.bytes().await?;
            anyhow::Ok(begun.elapsed().as_secs_f64() * 1e3)
        };
        let mut took_ms: Vec<f64> = futures::stream::repeat_with(ask).take(500).buffered(1).try_collect().await?;
        let begun = Instant::now();
        let asked = futures::stream::repeat_with(ask).take(REQUESTS).buffer_unordered(CALLERS);
        asked.try_for_each(|_| async { Ok(()) }).await?;
        Ok(Requests { per_s: REQUESTS as f64 / begun.elapsed().as_secs_f64(), median_ms: median(&mut took_ms) })
    }
}

async fn sink(body: Body) -> Result<StatusCode, StatusCode> {
    let mut body = body.into_data_stream();
    while let Some(part) = body.next().await {
        part.map_err(|_| StatusCode::BAD_REQUEST)?;
    }
    Ok(StatusCode::OK)
}

async fn source(RawQuery(query): RawQuery) -> Result<Body, StatusCode> {
    let bytes = query.context("no length").and_then(|text| Ok(text.parse::<u64>()?));
    let bytes = bytes.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Body::from_stream(DataSource::new(9).stream(bytes).map_ok(Bytes::from)))
}
