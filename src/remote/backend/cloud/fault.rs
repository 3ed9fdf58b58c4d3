//! Names the errors of OpenDAL. Their own texts are not shown whole, since these can contain URLs with keys.

use super::client::HttpRefusal;
use crate::remote::backend::naming::{Naming, causes, root_cause};
use crate::remote::backend::{BackendError, TimeoutPhase};
use opendal::ErrorKind;

/// Codes of services for keys that are no longer valid, which do not come as 403.
const EXPIRED: [&str; 3] = ["ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"];

pub(super) fn name(naming: &Naming, error: &opendal::Error) -> BackendError {
    let words = error.message();
    let fault = naming.fault(words);
    match error.kind() {
        ErrorKind::PermissionDenied => return BackendError::Denied(fault),
        ErrorKind::RateLimited => {
            let retry_after = None;
            return BackendError::Busy { fault, retry_after };
        }
        _ => {}
    }
    let mut refusals = causes(error).filter_map(|cause| cause.downcast_ref::<HttpRefusal>());
    if let Some(refusal) = refusals.next() {
        return name_refusal(naming, *refusal);
    }
    if let Some(tls) = naming.tls(error) {
        return tls;
    }
    let mut requests = causes(error).filter_map(|cause| cause.downcast_ref());
    if let Some(request) = requests.next() {
        return name_request(naming, request);
    }
    if words.contains("credential") || words.contains("signing") {
        let why = format!("no keys: {}", root_cause(error));
        return BackendError::Denied(naming.fault(why));
    }
    if EXPIRED.iter().any(|code| words.contains(code)) {
        return BackendError::Denied(fault);
    }
    BackendError::Server(fault)
}

/// The error of a read after the head of the answer had come.
pub(super) fn name_in_body(naming: &Naming, error: &opendal::Error) -> BackendError {
    match name(naming, error) {
        BackendError::Unreachable(fault) | BackendError::Server(fault) => {
            let why = format!("it ended before its end: {}", fault.why);
            BackendError::Garbled(naming.fault(why))
        }
        named => named,
    }
}

fn name_request(naming: &Naming, error: &reqwest::Error) -> BackendError {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => naming.timeout(TimeoutPhase::Connect),
        (true, false) => naming.timeout(TimeoutPhase::Whole),
        (false, _) => BackendError::Unreachable(naming.fault(root_cause(error))),
    }
}

fn name_refusal(naming: &Naming, refusal: HttpRefusal) -> BackendError {
    let status = refusal.status;
    let fault = naming.fault(status.to_string());
    match status.as_u16() {
        401 | 403 | 407 => BackendError::Denied(fault),
        413 => BackendError::TooLarge(fault),
        429 | 503 => BackendError::Busy {
            fault,
            retry_after: refusal.retry_after,
        },
        507 => BackendError::Full(fault),
        300..=399 => BackendError::Server(naming.fault(format!(
            "{status}: redirects are not followed; are region and endpoint right?"
        ))),
        _ => BackendError::Server(fault),
    }
}
