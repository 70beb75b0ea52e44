//! Connections of a door: how many are open, and how they end when the dashboard stops.
//!
//! actix looks only once a second whether the last connection of a stopping server is gone. So the dashboard looks
//! itself: every answer of a dashboard that stops also ends its connection, and whoever waits is answered at once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The open connections of one door. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    open: Arc<watch::Sender<usize>>,
    shutdown: CancellationToken,
}

/// What comes of a request.
type Answer = LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, Error>>;

/// Kept by a connection as long as it lives.
struct Open(Arc<watch::Sender<usize>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Connections {
    /// None yet; `shutdown` is cancelled when the dashboard stops.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            open: Arc::new(watch::Sender::new(0)),
            shutdown,
        }
    }

    /// For [`actix_web::HttpServer::on_connect`]: counts a connection until it ends.
    pub fn count(&self, extensions: &mut Extensions) {
        self.open.send_modify(|open| *open += 1);
        extensions.insert(Open(Arc::clone(&self.open)));
    }

    /// Waits until none is open, so long at most: a browser keeps one for its next page.
    pub async fn none_open(&self, patience: Duration) {
        let mut open = self.open.subscribe();
        let _ = tokio::time::timeout(patience, open.wait_for(|open| *open == 0)).await;
    }

    /// For [`actix_web::middleware::from_fn`]: an answer of a dashboard that stops ends its connection.
    pub fn closing(&self) -> impl Fn(ServiceRequest, Next<BoxBody>) -> Answer + Clone + use<> {
        let shutdown = self.shutdown.clone();
        move |request, next| {
            let shutdown = shutdown.clone();
            Box::pin(async move {
                let mut response = next.call(request).await?;
                if shutdown.is_cancelled() {
                    response
                        .response_mut()
                        .head_mut()
                        .set_connection_type(ConnectionType::Close);
                }
                Ok(response)
            })
        }
    }
}
