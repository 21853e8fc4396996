//! The key or token in a request's headers.

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use leasehold_core::authentication::AuthFailure;

/// The key or token in these headers, empty if there is only the scheme.
///
/// # Errors
/// There is none, or more than one, or it is under another scheme.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, AuthFailure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthFailure::Missing)?;
    if values.next().is_some() {
        // Which of two identities a proxy meant cannot be known.
        return Err(AuthFailure::Invalid);
    }
    bearer_of(value)
}

/// The key or token in an `Authorization` header.
///
/// # Errors
/// It is under another scheme.
pub(crate) fn bearer_of(value: &HeaderValue) -> Result<&str, AuthFailure> {
    let value = value.to_str().map_err(|_| AuthFailure::Invalid)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthFailure::Invalid);
    }
    Ok(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_strictly() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer lh_a"]).as_deref(), Ok("lh_a"));
        assert_eq!(read(&["bearer  lh_a "]).as_deref(), Ok("lh_a"));
        assert_eq!(read(&["Bearer lh_a x"]).as_deref(), Ok("lh_a x"));
        for empty in ["Bearer", "Bearer "] {
            assert_eq!(read(&[empty]).as_deref(), Ok(""));
        }
        assert_eq!(read(&[]), Err(AuthFailure::Missing));
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(AuthFailure::Invalid));
        for bad in ["Basic lh_a", "lh_a"] {
            assert_eq!(read(&[bad]), Err(AuthFailure::Invalid), "{bad}");
        }
    }
}
