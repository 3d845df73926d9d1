//! Containers fetch the credentials of their role: durable grants, and the face that answers them.
use std::sync::Arc;

use api::sts::AssumeRole;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use kernel::{Arn, Body, Door, Face, Fault, Fut, Grant, face, ids};
use serde_json::json;
use store::{Batch, Key};

use crate::authority::known_service;
use crate::records::Granted;
use crate::{Error, Iam};

const PATH: &str = "/v2/credentials/";

impl Iam {
    /// Stores a grant, or moves it (another address after a restart), and answers its URI, which stays.
    pub(crate) async fn store_grant(&self, id: &str, grant: Grant) -> Result<String, Error> {
        let account = grant
            .role_arn
            .parse::<Arn>()
            .map(|arn| arn.account)
            .map_err(|e| Error::Validation(e.to_string()))?;
        let key = Key::new(&account, "").text(id);
        self.store
            .update(|| async {
                let row = self.store.get::<Granted>(&key).await?;
                let uuid =
                    row.as_ref().map_or_else(|| ids::uuid(&*self.entropy), |row| row.value.uuid.clone());
                let record = Granted {
                    id: id.to_owned(),
                    uuid: uuid.clone(),
                    service: grant.service.to_owned(),
                    through: grant.through.clone(),
                    role_arn: grant.role_arn.clone(),
                    session: grant.session.clone(),
                    address: grant.address,
                };
                let batch = Batch::new().expect_same(&key, row.as_ref()).put(&key, &record);
                Ok((batch, format!("{PATH}{uuid}")))
            })
            .await
    }

    /// Ends a grant.
    pub(crate) async fn drop_grant(&self, id: &str) -> Result<(), Error> {
        let rows = self.store.find::<Granted>(Key::all(), "id", id, 0, 10).await?;
        let batch = rows.iter().fold(Batch::new(), |batch, row| batch.delete::<Granted>(&row.key));
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(())
    }

    /// The grant of a URI, if this is the container that it was given to.
    async fn granted(&self, uuid: &str, peer: std::net::IpAddr) -> Result<Option<Granted>, Error> {
        let row = self.store.find::<Granted>(Key::all(), "uuid", uuid, 0, 1).await?.pop();
        Ok(row.map(|row| row.value).filter(|grant| grant.address == peer.to_canonical()))
    }
}

/// The face.
pub struct Credentials(pub Arc<Iam>);

impl Face for Credentials {
    fn claims(&self, head: &Parts, _: &Door) -> bool {
        head.uri.path().starts_with(PATH)
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        let (head, _) = request.into_parts();
        Box::pin(async move {
            let (status, body) = self.answer(&door, &head.method, head.uri.path()).await.unwrap_or_else(|fault| {
                tracing::warn!(request_id = door.request_id, peer = %door.peer, ?fault, "no credentials for a container");
                failure(StatusCode::INTERNAL_SERVER_ERROR, "ServerInternal", &fault.message)
            });
            let mut response = Response::new(face::full(body));
            *response.status_mut() = status;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            response
        })
    }
}

impl Credentials {
    async fn answer(&self, door: &Door, method: &Method, path: &str) -> Result<(StatusCode, String), Fault> {
        if *method != Method::GET {
            return Ok(failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "InvalidRequest",
                "Credentials are fetched with GET",
            ));
        }
        let uuid = path.strip_prefix(PATH).unwrap_or_default();
        // A stranger learns no more than one who guesses.
        let Some(grant) = self.0.granted(uuid, door.peer.ip()).await? else {
            return Ok(failure(StatusCode::BAD_REQUEST, "InvalidIdInRequest", "Credentials not found"));
        };
        let Granted { service, through, role_arn, session, .. } = &grant;
        let credentials = match through {
            None => self.0.issue_for(service, role_arn, session, None).await?,
            Some(first) => self.issue_through(door, first, &grant).await?,
        };
        let body = json!({
            "RoleArn": credentials.role_arn,
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.session_token,
            "Expiration": kernel::json::iso8601(credentials.expiration),
        });
        Ok((StatusCode::OK, body.to_string()))
    }

    /// The first role's session assumes the role, authorized as over the network.
    async fn issue_through(
        &self,
        door: &Door,
        first: &str,
        grant: &Granted,
    ) -> Result<kernel::Credentials, Fault> {
        let Granted { service, role_arn, session, .. } = grant;
        let service = known_service(service);
        let account = first.parse::<Arn>().map(|arn| arn.account).unwrap_or_default();
        let cx = door.ops.as_service(service, &account, &door.region, &door.request_id);
        let cx = cx.as_role(service, first, session).await?;
        let asked = AssumeRole {
            role_arn: role_arn.clone(),
            role_session_name: session.clone(),
            ..AssumeRole::default()
        };
        let given = cx.call(asked).await?.credentials;
        let given = given.ok_or_else(|| Fault::internal("AssumeRole answered no credentials"))?;
        Ok(kernel::Credentials {
            access_key_id: given.access_key_id,
            secret_access_key: given.secret_access_key,
            session_token: given.session_token,
            expiration: given.expiration,
            role_arn: role_arn.clone(),
        })
    }
}

fn failure(status: StatusCode, code: &str, message: &str) -> (StatusCode, String) {
    (status, json!({ "code": code, "message": message, "HTTPErrorCode": status.as_u16() }).to_string())
}
