//! What a call sends and where what arrives goes, from the settings.

use crate::config::{Config, VideoCodec};
use crate::media::Feed;
use crate::media::pacer::{IvfSource, MediaFile, OpusSource, Repeat, open_file};
use crate::media::plain::bind_input;
use crate::media::recorder::RecordingDirectory;
use crate::media::{FrameSource, MediaInput, MediaOutput};
use crate::samples;
use anyhow::{Context as _, Result, ensure};
use kakehashi_wire::media::{Codec, StreamKind};
use std::path::Path;

/// Opens everything a call sends. Without any source there is one silent audio stream, so that
/// this terminal can be heard to be there and its reports have a sender.
pub(super) fn inputs(config: &Config) -> Result<Vec<MediaInput>> {
    let repeat = if config.repeat { Repeat::Forever } else { Repeat::Once };
    let mut inputs = Vec::new();
    if let Some(path) = &config.audio {
        let source = open(path, repeat)?;
        ensure!(source.codec() == Codec::Opus, "{}: --audio takes Ogg Opus", path.display());
        inputs.push(frames(StreamKind::Audio, source));
    }
    if let Some(path) = &config.video {
        let source = open(path, repeat)?;
        ensure!(source.codec() != Codec::Opus, "{}: --video takes IVF", path.display());
        inputs.push(frames(StreamKind::Camera, source));
    }
    for &port in &config.rtp_in {
        let kind = port.kind.0;
        let codec = match (kind, config.rtp_codec) {
            (StreamKind::Audio, _) => Codec::Opus,
            (_, Some(VideoCodec::Vp9)) => Codec::Vp9,
            _ => Codec::Vp8,
        };
        let taken = inputs.iter().any(|input: &MediaInput| input.kind == kind);
        ensure!(!taken, "--rtp-in {}: there is a source of that kind already", String::from(port));
        inputs.push(MediaInput { kind, codec, feed: Feed::Plain(bind_input(port)?) });
    }
    if inputs.is_empty() {
        inputs.push(silence());
    }
    Ok(inputs)
}

/// An audio stream on which nothing is sent but reports.
pub(super) fn silence() -> MediaInput {
    MediaInput { kind: StreamKind::Audio, codec: Codec::Opus, feed: Feed::Silence }
}

/// What is played while a call waits at a desk, if anything.
pub(super) fn announcement(config: &Config) -> Result<Option<Box<dyn FrameSource>>> {
    let Some(path) = &config.announcement else { return Ok(None) };
    let source = open(path, Repeat::Forever)?;
    ensure!(source.codec() == Codec::Opus, "{}: --announcement takes Ogg Opus", path.display());
    Ok(Some(source))
}

/// Where what arrives goes.
pub(super) fn output(config: &Config) -> Result<MediaOutput> {
    let mut output = MediaOutput { sinks: None, plain: config.rtp_out.clone() };
    if let Some(directory) = &config.record {
        let made = RecordingDirectory::new(directory)
            .with_context(|| format!("cannot record into {}", directory.display()))?;
        output.sinks = Some(Box::new(made));
    }
    Ok(output)
}

fn frames(kind: StreamKind, source: Box<dyn FrameSource>) -> MediaInput {
    MediaInput { kind, codec: source.codec(), feed: Feed::Frames(source) }
}

fn open(path: &Path, repeat: Repeat) -> Result<Box<dyn FrameSource>> {
    let Some(sample) = path.to_str().and_then(|path| path.strip_prefix("sample:")) else {
        return Ok(open_file(path, repeat)?);
    };
    let opus = |bytes| OpusSource::open(MediaFile::Embedded(bytes), repeat);
    let ivf = |bytes| IvfSource::open(MediaFile::Embedded(bytes), repeat);
    Ok(match sample {
        "speech" => Box::new(opus(samples::SPEECH_OPUS)?),
        "reply" => Box::new(opus(samples::REPLY_OPUS)?),
        "store" => Box::new(ivf(samples::STORE_IVF)?),
        "concierge" => Box::new(ivf(samples::CONCIERGE_IVF)?),
        "vp9" => Box::new(ivf(samples::VP9_IVF)?),
        _ => anyhow::bail!(
            "there is no sample `{sample}`; there are speech, reply, store, concierge, vp9"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_opened_by_kind_and_mistakes_named() {
        let with = |audio: &str, video: &str| {
            let config = Config {
                audio: Some(audio.into()),
                video: Some(video.into()),
                ..Config::default()
            };
            inputs(&config).map(|inputs| inputs.iter().map(MediaInput::offer).collect::<Vec<_>>())
        };
        let offers = with("sample:speech", "sample:vp9").unwrap();
        assert_eq!(offers[0].codec, Codec::Opus);
        assert_eq!((offers[1].kind, offers[1].codec), (StreamKind::Camera, Codec::Vp9));
        assert!(with("sample:store", "sample:store").unwrap_err().to_string().contains("--audio"));
        assert!(with("sample:x", "sample:store").unwrap_err().to_string().contains("concierge"));
        let silent = inputs(&Config::default()).unwrap();
        assert!(silent.len() == 1 && matches!(silent[0].feed, Feed::Silence));
    }
}
