//! A terminal as small as it can be.

use super::{frame, within};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORT_LABEL, EXPORTED_BYTES};
use kakehashi_wire::id::{CallId, DeviceId, RequestId};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::{
    Accept, CallEnd, CallReady, FromTerminal, Invite, MemberPhase, Refusal, Refused, Resume,
    Resumed, SessionEnd, SignIn, SignedIn, ToTerminal,
};
use quinn::{Connection, RecvStream, SendStream};

pub const AUDIO: StreamOffer = StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus };

/// The key of `device`, and the proof of it for `connection`.
pub fn prove(connection: &Connection, device: u64) -> (DeviceKey, DeviceProof) {
    let seed: [u8; 32] = core::array::from_fn(|at| device.to_le_bytes()[at % 8]);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let mut exported = [0; EXPORTED_BYTES];
    connection.export_keying_material(&mut exported, EXPORT_LABEL, b"").unwrap();
    let proof = pair.sign(&exported);
    let key = pair.public_key().as_ref().try_into().unwrap();
    (DeviceKey(key), DeviceProof(proof.as_ref().try_into().unwrap()))
}

pub struct Terminal {
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
    requests: u32,
}

impl Terminal {
    pub async fn open(connection: Connection) -> Self {
        let (send, recv) = connection.open_bi().await.unwrap();
        Self { connection, send, recv, requests: 0 }
    }

    pub fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub async fn say(&mut self, message: impl Into<FromTerminal>) {
        self.say_bytes(&message.into().encode().unwrap()).await;
    }

    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    /// The next message but of missed calls; `None` when the node closed.
    pub async fn hear(&mut self) -> Option<ToTerminal> {
        loop {
            let heard = self.hear_any().await;
            if !matches!(heard, Some(ToTerminal::MissedCalls(_))) {
                return heard;
            }
        }
    }

    /// The next message; `None` when the node closed.
    pub async fn hear_any(&mut self) -> Option<ToTerminal> {
        let (kind, body) = within(frame(&mut self.recv)).await?;
        Some(ToTerminal::decode(kind, &body).unwrap())
    }

    pub async fn sign_in(
        &mut self,
        tenant: &str,
        login: &str,
        password: &str,
        device: u64,
    ) -> Result<SignedIn, Refused> {
        let request = self.request();
        let (device_key, device_proof) = prove(&self.connection, device);
        self.say(SignIn {
            request,
            tenant: tenant.into(),
            login: login.into(),
            password: Password::new(password.into()),
            device: DeviceId(device),
            device_key,
            device_proof,
            software: "test".into(),
        })
        .await;
        match self.hear().await {
            Some(ToTerminal::SignedIn(it)) if it.request == request => Ok(it),
            Some(ToTerminal::Refused(it)) if it.request == request => Err(it),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    /// Resumes with `token`, proving the key of `device`.
    pub async fn resume(&mut self, token: &ResumeToken, device: u64) -> Result<Resumed, Refused> {
        let request = self.request();
        let (_, device_proof) = prove(&self.connection, device);
        let software = "test".into();
        self.say(Resume { request, token: token.clone(), device_proof, software }).await;
        match self.hear().await {
            Some(ToTerminal::Resumed(it)) if it.request == request => Ok(it),
            Some(ToTerminal::Refused(it)) if it.request == request => Err(it),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    /// The phases of a call's members, the caller's first.
    pub async fn members(&mut self) -> Vec<MemberPhase> {
        match self.hear().await {
            Some(ToTerminal::Members(it)) => it.members.iter().map(|member| member.phase).collect(),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn invite(&mut self, login: &str) -> Result<CallId, Refusal> {
        let request = self.request();
        self.say(Invite { request, login: login.into(), streams: vec![AUDIO] }).await;
        match self.hear().await {
            Some(ToTerminal::Ringing(it)) if it.request == request => Ok(it.call),
            Some(ToTerminal::Refused(it)) if it.request == request => Err(it.reason),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn accept(&mut self, call: CallId) {
        let request = self.request();
        self.say(Accept { request, call, streams: vec![AUDIO] }).await;
        self.done(request).await;
    }

    pub async fn done(&mut self, request: RequestId) {
        match self.hear().await {
            Some(ToTerminal::Done(it)) => assert_eq!(it.request, request),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    /// Whether a request was done, or why not.
    pub async fn answer(&mut self, request: RequestId) -> Result<(), Refusal> {
        match self.hear().await {
            Some(ToTerminal::Done(it)) if it.request == request => Ok(()),
            Some(ToTerminal::Refused(it)) if it.request == request => Err(it.reason),
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn signed_in(&mut self) -> SignedIn {
        match self.hear().await {
            Some(ToTerminal::SignedIn(it)) => it,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn refused(&mut self, request: RequestId) -> Refusal {
        match self.hear().await {
            Some(ToTerminal::Refused(it)) if it.request == request => it.reason,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn incoming(&mut self) -> CallId {
        match self.hear().await {
            Some(ToTerminal::Incoming(it)) => it.call,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn ready(&mut self) -> CallReady {
        match self.hear().await {
            Some(ToTerminal::CallReady(it)) => it,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn call_ended(&mut self) -> CallEnd {
        match self.hear().await {
            Some(ToTerminal::CallEnded(it)) => it.reason,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }

    pub async fn session_ended(&mut self) -> SessionEnd {
        match self.hear().await {
            Some(ToTerminal::SessionEnded(it)) => it.reason,
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }
}
