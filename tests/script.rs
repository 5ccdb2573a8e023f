//! The script for pages, as the server serves it.

mod common;

use common::{Answer, Live};
use swio::{Callbacks, Response, SCRIPT, Server};

fn request(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

#[test]
fn it_is_served_in_front_of_all_else_and_loaded_once() {
    let builder = Server::builder()
        .script("/js/swio.js")
        .on_request(|_, request| Response::text(200, format!("{} {}", request.method(), request.path())))
        .route("/js/{*path}", || Callbacks::new().on_request(|_, _| Response::text(200, "the route's")));
    let live = Live::start(builder);
    let mut client = live.client();
    let mut ask = |method: &str, path: &str, more: &str| -> Answer {
        client.send(request(method, path, more));
        if method == "HEAD" { client.answer_head() } else { client.answer() }
    };
    let whole = ask("GET", "/js/swio.js?v=1", "");
    assert_eq!((whole.status, &*whole.body), (200, SCRIPT.as_bytes()));
    assert_eq!(whole.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(whole.header("cache-control"), Some("no-cache"));
    let etag = whole.header("etag").expect("an ETag").to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = ask("GET", "/js/swio.js", &format!("If-None-Match: {known}\r\n"));
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(&*etag));
    }
    assert_eq!(ask("GET", "/js/swio.js", "If-None-Match: \"other\"\r\n").status, 200);
    let head = ask("HEAD", "/js/swio.js", "");
    assert_eq!(head.header("content-length"), Some(&*SCRIPT.len().to_string()));
    assert_eq!(ask("POST", "/js/swio.js", "Content-Length: 0\r\n").text(), "the route's");
    assert_eq!(ask("GET", "/js/swio.jsx", "").text(), "the route's");
}

#[test]
fn a_path_that_cannot_be_is_an_error_at_start() {
    for path in ["", "swio.js", "/swio.js?v=1", "/#"] {
        let error = Server::builder().listen("127.0.0.1:0").script(path).build().expect_err(path);
        assert!(error.to_string().contains("expected a path"), "{error}");
    }
}
