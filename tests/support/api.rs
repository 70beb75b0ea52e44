//! The API as a program speaks it, over the dashboard's Unix socket.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Dashboard, id_of};

impl Dashboard {
    /// GET on the API: status and JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    /// The bytes of a GET on the API.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, path).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.bytes().await.expect("bytes").to_vec()
    }

    /// POST on the API: status and JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// DELETE on the API: status and JSON.
    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask(Method::DELETE, path, None).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://localhost/api/v1{path}"))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// POST of what must be accepted: its answer.
    pub(crate) async fn done(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!((200..300).contains(&status), "{path} {body}: {status} {answer}");
        answer
    }

    /// Adds a host of this machine whose spool, and so its lock, is its own.
    pub(crate) async fn add_local(&self, name: &str, tags: &[&str]) {
        let spool = self.path(&format!("spool-{name}"));
        let host = json!({ "name": name, "local": true, "spool": spool, "tags": tags });
        self.done("/hosts", &host).await;
    }

    /// The same of a host that is reached by SSH, at this port.
    pub(crate) async fn add_ssh(&self, name: &str, port: u16, tags: &[&str]) {
        let spool = self.path(&format!("spool-{name}"));
        let host = json!({ "name": name, "ssh": format!("127.0.0.1:{port}"), "spool": spool, "tags": tags });
        self.done("/hosts", &host).await;
    }

    /// Asks for an op on a host and gives the journaled row, refused or not.
    pub(crate) async fn run(&self, op: &str, host: &str) -> Value {
        let (status, answer) = self.post("/commands", &json!({ "op": op, "hosts": [host] })).await;
        assert!(status == 202 || status == 409, "{status}: {answer}");
        answer["commands"][0].clone()
    }

    /// Asks for an op that must be accepted, and gives the command's id.
    pub(crate) async fn accepted(&self, op: &str, host: &str) -> String {
        let row = self.run(op, host).await;
        assert!(row["finished_at"].is_null(), "accepted: {row}");
        id_of(&row)
    }

    /// Starts a pipeline, which must be accepted, and gives its id.
    pub(crate) async fn started(&self, pipeline: &Value) -> String {
        let (status, row) = self.post("/pipelines", pipeline).await;
        assert_eq!(status, 202, "{row}");
        id_of(&row)
    }

    /// A command's row.
    pub(crate) async fn command(&self, id: &str) -> Value {
        let (status, row) = self.get(&format!("/commands/{id}")).await;
        assert_eq!(status, 200, "{row}");
        row
    }

    /// The whole output of a command.
    pub(crate) async fn output(&self, id: &str) -> Vec<u8> {
        self.bytes(&format!("/commands/{id}/output")).await
    }

    /// All events, oldest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or(0, |event: &Value| event["id"].as_i64().expect("id"));
            let (status, page) = self.get(&format!("/events?after={after}&limit=1000")).await;
            assert_eq!(status, 200, "{page}");
            let page = page["events"].as_array().expect("events").clone();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Events about one command, oldest first.
    pub(crate) async fn events_of(&self, id: &str) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event["command_id"] == id)
            .collect()
    }
}
