/**
 * Client of an Althing server: one `Call` is one member's presence in one room, one `Lobby` a person's presence where they can be called.
 *
 * @packageDocumentation
 */
export { Call } from './call.ts';
export type { CallEvents, CallOptions, CallStatus, Diagnostics } from './call.ts';
export type { Data, DataOptions } from './data.ts';
export { classify, DeviceError, devicesAllowed, listDevices, openCamera, openMicrophone, openScreen, PROCESSING } from './devices.ts';
export type { DeviceList, DeviceProblem, Processing, ScreenContent } from './devices.ts';
export type { CameraEffect, Processed } from './effect.ts';
export { Emitter } from './emitter.ts';
export { Encryption } from './encryption.ts';
export type { EncryptionEvents } from './encryption.ts';
export { AlthingError, isAlthingError } from './errors.ts';
export type { ClientErrorCode } from './errors.ts';
export { loudness, meter } from './level.ts';
export type { LevelMeter } from './level.ts';
export { Library, LibraryError } from './library.ts';
export type { Film, LibraryChat, LibraryFile, LibraryItem, LibraryKind, LibraryOptions, LibraryPage, LibraryPerson, LibraryShare, Mixdown, Waveform } from './library.ts';
export type { LinkOptions, LinkState } from './link.ts';
export { Lobby } from './lobby.ts';
export type { EnterRequest, LobbyEvents, Over, Ring, Talk } from './lobby.ts';
export { LocalMedia } from './local.ts';
export type { LocalEvents, LocalState, Stage } from './local.ts';
export type { MediaState } from './peer.ts';
export type { Publication } from './publisher.ts';
export type { Unreached } from './reach.ts';
export type { JoinRequest, SignalingOptions, Token, Welcome } from './signaling.ts';
export type { MemberMedia, SlotMedia } from './slots.ts';
export type { RoomState } from './state.ts';
export type { ConnectionStats, InboundStats, MemberStats, OutboundStats, TransportStats } from './stats.ts';
export { forgetUpload, upload } from './uploads.ts';
export type { UploadOptions } from './uploads.ts';
export type { ViewSize } from './views.ts';
export type { Route } from './ways.ts';
export type * from './wire.ts';
