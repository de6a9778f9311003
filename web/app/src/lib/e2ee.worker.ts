import '@althing/sdk/e2ee-worker';
