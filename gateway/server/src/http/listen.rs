//! Which routes are served where.

use std::sync::Arc;

use super::admin_router;
use super::data_router;
use super::router;
use crate::app::App;
use crate::listener::ListenError;
use crate::listener::Listener;

/// Listens as the configuration asks: everything on one address, or administration on its own. The
/// first listener is the API's.
///
/// # Errors
/// An address cannot be bound, or the TLS files cannot be used.
pub async fn listen(app: &Arc<App>) -> Result<Vec<Listener>, ListenError> {
    let listen = &app.config.listen;
    let bind = async |address, router| {
        let open = app.metrics.connections().clone();
        Listener::bind(
            address,
            listen.tls.as_ref(),
            &app.config.limits,
            router,
            open,
        )
        .await
    };
    match listen.admin_address {
        None => Ok(vec![bind(listen.address, router(app)).await?]),
        Some(admin) => {
            let data = bind(listen.address, data_router(app)).await?;
            Ok(vec![data, bind(admin, admin_router(app)).await?])
        }
    }
}
