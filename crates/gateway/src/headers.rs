//! Which headers go on and which end here: those of one connection are not the next one's (RFC 9110, section 7.6.1).
//! Leaves their meaning to both ends.

use web::{ClientAddress, HeaderMap, HeaderName, HeaderValue, RequestParts, header};

/// Headers that speak of one connection.
const OF_A_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Makes the headers of a request those of the next connection, and says from where it came.
pub(crate) fn of_request(parts: &mut RequestParts) {
    let headers = &mut parts.headers;
    strip(headers);
    // Its length is known once it is whole, and an expectation of a first answer was met by then.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    if let Some(host) = headers.remove(header::HOST) {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(ClientAddress(client)) = parts.extensions.get::<ClientAddress>() {
        let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<String> = before.map(str::to_owned).chain([client.to_string()]).collect();
        if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
            headers.insert(FORWARDED_FOR, value);
        }
    }
}

/// Makes the headers of an answer those of the connection to whoever asked.
pub(crate) fn of_answer(headers: &mut HeaderMap) {
    strip(headers);
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_A_CONNECTION.into_iter().chain([KEEP_ALIVE]).chain(named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use web::Request;

    use super::*;

    fn passed(headers: &[(&str, &str)]) -> HeaderMap {
        let mut parts = Request::new(()).into_parts().0;
        for (name, value) in headers {
            parts.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        parts.extensions.insert(ClientAddress("192.0.2.7".parse().unwrap()));
        of_request(&mut parts);
        parts.headers
    }

    #[test]
    fn what_is_of_one_connection_ends_here_and_all_else_goes_on() {
        let headers = passed(&[
            ("connection", "close, X-Odd"),
            ("keep-alive", "timeout=5"),
            ("x-odd", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-length", "7"),
            ("host", "shop.example"),
            ("idempotency-key", "k"),
            ("if-none-match", "\"3\""),
            ("prefer", "wait=5"),
            ("cart-capability", "c"),
            ("authorization", "Bearer t"),
            ("x-request-id", "r"),
        ]);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "cart-capability",
            "idempotency-key",
            "if-none-match",
            "prefer",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            (&headers["x-forwarded-for"], &headers["x-forwarded-proto"]),
            (&"192.0.2.7".parse().unwrap(), &"http".parse().unwrap())
        );
    }

    #[test]
    fn who_was_asked_before_is_kept() {
        let headers = passed(&[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a")]);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(
            (&headers["x-forwarded-proto"], &headers["x-forwarded-host"]),
            (&"https".parse().unwrap(), &"a".parse().unwrap())
        );
    }
}
