//! What is said of the operations on files and on the node's settings.

use super::super::{
    backups, blobs, by_hand, catalogs as signed, hidden as hides, household as homes, leases, muted, paging, settings, shared_apps,
    storage, tunnels, words,
};
use super::{Said, of};
use crate::apps::{AdoptWish, BackupWish, HandView, JobView, Key, KeyView, NewKey, RestoreWish};
use crate::blobs::{BlobView, BlobsPage, Change};
use crate::broker::ByHand;
use crate::catalogs::{Begun, CatalogDetails, CatalogInfo, GetWish, PublishWish, SavedKey};
use crate::household::HouseholdView;
use crate::http::setup::{SetupView, SetupWish};
use crate::https::{Choice, HttpsView};
use crate::leases::{LeasesView, Policy, Wanted, Wish as LeaseWish};
use crate::settings::{SettingsView, Wish};
use crate::storage::{PrepareWish, StorageView};
use serde_json::json;

/// Of files.
pub fn blobs(id: &str) -> Option<Said> {
    const CHANGE: [u16; 4] = [404, 422, 503, 507];
    let shown = |said: Said| said.gives::<BlobView>("How it is.");
    Some(match id {
        "blobs" => of("blobs", "The files that nodes hold")
            .more("Who may not look at apps sees those that are public.")
            .query("text", "Words that all must be in the name or the hash.", json!({ "type": "string", "maxLength": 200 }))
            .query("apps", "Apps alone.", json!({ "type": "boolean" }))
            .gives::<BlobsPage>("A page of them, by hash.")
            .paged(paging::MAX_PAGE)
            .refuses(&[422, 503]),
        "blob_add" => {
            let mut said = of("blobs", "Put a file into the microcloud")
                .more(
                    "The body is the file, and is taken as it comes. When this answers, it is on the disk, and stays until it is removed.",
                )
                .query("name", "A file's name, without folders.", json!({ "type": "string", "minLength": 1, "maxLength": 200 }))
                .query("media-type", "What it is, such as `image/png`.", json!({ "type": "string", "maxLength": 100 }))
                .query("visibility", "Who may read it: `community` without.", json!({ "enum": ["private", "community", "public"] }))
                .gives_as::<BlobView>(201, "It is kept.")
                .refuses(&[409, 422, 503, 507]);
            said.body = Some(
                json!({ "required": true, "content": { "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } } }),
            );
            said
        }
        "blob" => shown(of("blobs", "A file on this node, whole or coming")).refuses(&[404]),
        "blob_fetch" => of("blobs", "Fetch a file from the nodes that hold it")
            .more("It goes on over restarts; `blob` tells how far it is. One that is here is answered as it is.")
            .gives_as::<BlobView>(202, "It comes.")
            .refuses(&CHANGE),
        "blob_change" => {
            shown(of("blobs", "Say who may read a file, what it is called, and whether it stays").takes::<Change>()).refuses(&CHANGE)
        }
        "blob_remove" => {
            of("blobs", "Remove a file from this node").gives::<blobs::Removed>("It is not held here any more.").refuses(&CHANGE)
        }
        "blob_content" => of("blobs", "What a file holds")
            .more("A `Range` of bytes may be asked for (206, or 416 where it lies behind the end); the `ETag` is the hash.")
            .gives_other("application/octet-stream", "The file, to be saved.", json!({ "type": "string", "format": "binary" }))
            .refuses(&[404, 409, 422, 503, 507]),
        "blob_quota" => of("blobs", "How much room files have on this node").gives::<blobs::Quota>("How much."),
        "blob_quota_set" => of("blobs", "Give files more room on this node, or less")
            .more("Nothing is removed at once: what comes next keeps to it.")
            .takes::<blobs::NewQuota>()
            .gives::<blobs::Quota>("How much.")
            .refuses(&[503]),
        _ => return None,
    })
}

/// Of apps of other nodes, and of signed catalogs.
pub fn catalogs(id: &str) -> Option<Said> {
    const CHANGE: [u16; 5] = [404, 409, 422, 503, 507];
    let shown = |said: Said| said.gives::<CatalogInfo>("How it is.").refuses(&CHANGE);
    Some(match id {
        "found_apps" => of("apps", "Apps that nodes of the microcloud give")
            .query("text", "Words that all must be in the blob's name or hash.", json!({ "type": "string", "maxLength": 200 }))
            .gives::<shared_apps::FoundAppsPage>("A page of them, by the hashes of their blobs.")
            .paged(paging::MAX_PAGE)
            .refuses(&[422, 503]),
        "found_app_fetch" => of("apps", "Fetch an app that another node gives into the catalog")
            .more("It goes on over restarts; of `blob`, `here.taking` tells how far it is.")
            .query(
                "replace",
                "Whether it may take the place of a signed catalog's app of that name; else that is refused (409).",
                json!({ "type": "boolean" }),
            )
            .gives_as::<BlobView>(202, "It is on its way.")
            .refuses(&[404, 409, 422, 503, 507]),
        "catalogs" => of("apps", "Signed catalogs of apps: those that are followed, and those that nodes tell of")
            .more("Of one that is not followed its name and title are what nodes say; nothing of it was verified.")
            .gives::<signed::CatalogsPage>("A page of them, by their keys.")
            .paged(paging::MAX_PAGE),
        "catalogs_add" => {
            let mut said = shown(of("apps", "Take a signed catalog that somebody brought, and follow it"))
                .more("The body is its file. It is refused where its signature is wrong, it breaks a limit, or a newer one was taken.");
            said.body = Some(
                json!({ "required": true, "content": { "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } } }),
            );
            said
        }
        "catalogs_one" => of("apps", "A signed catalog with its apps").gives::<CatalogDetails>("It, and how its apps are for this node.").refuses(&[404]),
        "catalogs_follow" => shown(of("apps", "Follow the signed catalog of a key"))
            .more("It is fetched when a node that has it is there, and each newer one after it: only what its key has signed, with a higher number than the last."),
        "catalogs_unfollow" => of("apps", "Follow a signed catalog no more; apps that were taken from it stay")
            .gives::<signed::Unfollowed>("It is so.")
            .refuses(&CHANGE),
        "catalogs_get" => of("apps", "Fetch an app of a signed catalog into the store, and install it where that is wished")
            .more("Another publisher's app of the same name is not replaced unless `replace` says so (409). `catalogs_one` tells how far it is.")
            .takes::<GetWish>()
            .gives_as::<Begun>(202, "It is on its way, or in the store already.")
            .refuses(&CHANGE),
        "catalogs_publish" => shown(of("apps", "Publish apps of this node's store in a signed catalog of its own").takes::<PublishWish>())
            .more("At first it gets a key, which stays on this node. Each publication has a higher number than the last."),
        "catalogs_give_up" => shown(of("apps", "Give the key of a catalog of this node up"))
            .more("Who follows it takes nothing more that this key signs; it is not to be undone."),
        "catalogs_key" => of("apps", "The secret key of a catalog of this node").gives::<SavedKey>("To be kept in a safe place.").refuses(&[404, 507]),
        "catalogs_key_bring" => shown(of("apps", "Publish a catalog from this node too, by its secret key").takes::<SavedKey>()),
        _ => return None,
    })
}

/// Of apps on somebody else's node.
pub fn leases(id: &str) -> Option<Said> {
    Some(match id {
        "leases" => of("apps", "Apps of this node on others, and of others on this one")
            .more("`given` is what this node offers or lends, `held` what it is asked to run or runs; `policy` says what becomes of offers, `replicas` of which apps copies are kept.")
            .gives::<LeasesView>("All of them; what is over is forgotten after a while."),
        "lease_offer" => of("apps", "Offer an app of this node's catalog to another node")
            .more("Its owner, or the policy that its owner set, agrees or does not: `leases` shows it. The app is given to the microcloud as a blob.")
            .takes::<LeaseWish>()
            .gives_as::<leases::Offered>(201, "It is offered; nothing runs yet.")
            .refuses(&[404, 409, 422, 503, 507]),
        "lease_decide" => of("apps", "Accept or refuse an offer, or end a lease")
            .takes::<leases::Decision>()
            .gives::<LeasesView>("How all of them stand.")
            .refuses(&[404, 409, 503, 507]),
        "replicas_set" => of("apps", "Say how many copies of an app are kept on other nodes")
            .more("The owner's own nodes are asked first, then those with the most free memory; a copy whose node is gone for 300 seconds is made elsewhere.")
            .takes::<Wanted>()
            .gives::<LeasesView>("How all of them stand; `replicas` says how many run.")
            .refuses(&[404, 409, 422, 507]),
        "lease_policy_set" => of("apps", "Say what becomes of offers before anybody looks at them")
            .takes::<Policy>()
            .gives::<LeasesView>("How all of them stand.")
            .refuses(&[409, 422, 507]),
        _ => return None,
    })
}

/// Of backups.
pub fn backups(id: &str) -> Option<Said> {
    let begun = |said: Said| said.gives_as::<JobView>(202, "A job has begun: `job` and `job_events` tell how far it is.");
    Some(match id {
        "app_move" => begun(
            of("apps", "Move what an app keeps to another disk, or back to the node's own storage")
                .more("It stands still meanwhile. Where its data were they stay until the copy was read and compared.")
                .takes::<storage::MoveWish>(),
        )
        .refuses(&[404, 409, 422, 507]),
        "app_backup" => begun(
            of("apps", "Make a backup of an app")
                .more("It stands still meanwhile. The job's `backup` is the hash of the blob; it is encrypted to the key that is set.")
                .takes::<BackupWish>(),
        )
        .refuses(&[404, 409, 507]),
        "backups" => of("apps", "The backups that nodes hold")
            .query("text", "Words that all must be in the name or the hash.", json!({ "type": "string", "maxLength": 200 }))
            .gives::<backups::BackupsPage>("A page of them, by the hashes of their blobs; it may be empty before the last.")
            .paged(paging::MAX_PAGE)
            .refuses(&[422, 503]),
        "backup_restore" => begun(
            of("apps", "Install an app with what a backup on this node holds")
                .more("An app of that name must not be here. The key is not kept: what is kept until the job is over opens this backup alone.")
                .takes::<RestoreWish>(),
        )
        .refuses(&[403, 404, 409, 422, 503, 507]),
        "backup_key" => of("apps", "The key that backups are for").gives::<KeyView>("Its public half, if there is one."),
        "backup_key_make" => of("apps", "Make a key for backups")
            .more("Its secret half is in this answer alone: the node does not keep it. It is a key of age.")
            .gives_as::<NewKey>(201, "It is made, and backups are for it now.")
            .refuses(&[409, 503, 507]),
        "backup_key_set" => of("apps", "Have backups made for a key that exists already")
            .takes::<Key>()
            .gives::<KeyView>("They are.")
            .refuses(&[409, 503, 507]),
        _ => return None,
    })
}

/// Of what was made with Docker by hand.
pub fn by_hand(id: &str) -> Option<Said> {
    let cleared = |said: Said| said.gives::<by_hand::HandCleared>("It is gone.").refuses(&[409, 503, 507]);
    Some(match id {
        "by_hand" => of("apps", "What was made with Docker by hand: containers, images and volumes of no app")
            .more("No value of an environment stands in it.")
            .gives::<ByHand>("All of it, 200 of each at most.")
            .refuses(&[409, 503]),
        "by_hand_container" => of("apps", "What a container that was made by hand would be as an app")
            .more("It is named by its number or its name. Names of variables are said, and no values.")
            .gives::<HandView>("What would be taken over, what would differ, and what stands against it.")
            .refuses(&[404, 409, 503]),
        "by_hand_adopt" => of("apps", "Make an app of a container that was made by hand, with what it keeps")
            .more("It is saved as an own app; what that asks of the node, an owner allows first (403 until then). The old container stays, stopped.")
            .takes::<AdoptWish>()
            .gives_as::<JobView>(202, "A job has begun: `job` and `job_events` tell how far it is.")
            .refuses(&[403, 404, 409, 422, 503, 507]),
        "by_hand_remove" => cleared(of("apps", "Remove a container whose place an app has taken; its volumes stay")),
        "by_hand_image_remove" => cleared(of("apps", "Remove an image that nothing uses")),
        "by_hand_volume_remove" => cleared(of("apps", "Remove a volume that nothing uses, with what it holds")),
        _ => return None,
    })
}

/// Of the node's settings and its power.
pub fn settings(id: &str) -> Option<Said> {
    Some(match id {
        "settings" => of("node", "The settings of this node").gives::<SettingsView>("How they are. No key stands in them."),
        "settings_set" => of("node", "Change settings of this node")
            .more("A change of network or Wi-Fi is on trial: it is taken back after five minutes, or at the next start, unless `settings_keep` is called.")
            .takes::<Wish>()
            .gives::<SettingsView>("They are set.")
            .refuses(&[409, 422, 503, 507]),
        "setup" => of("node", "How far setting this node up is").gives::<SetupView>("The step that comes next."),
        "setup_set" => of("node", "Answer a step of setting this node up")
            .more("That something is done or left for later is noted, and nothing else: names, microcloud and time zone have operations of their own. `done` ends it.")
            .takes::<SetupWish>()
            .gives::<SetupView>("It is noted.")
            .refuses(&[404, 422, 507]),
        "https" => of("node", "How this node is reached over HTTPS, and what a browser is told to trust")
            .gives::<HttpsView>("The root can vouch for local names and private addresses alone.")
            .refuses(&[409]),
        "https_set" => of("node", "Have plain HTTP lead to HTTPS, or not")
            .more("Only who comes by HTTPS, or by the local socket, closes plain HTTP.")
            .takes::<Choice>()
            .gives::<HttpsView>("It is so.")
            .refuses(&[409, 507]),
        "settings_keep" => of("node", "Keep the change that is on trial").gives::<SettingsView>("It is kept.").refuses(&[409, 507]),
        "reset" => of("node", "Have this node forget all that it kept: a factory reset")
            .more("It restarts; its data is made anew then. What is on the config partition stays, without the secrets that were moved from there.")
            .takes::<settings::ResetRequest>()
            .gives::<settings::PowerDone>("It begins.")
            .refuses(&[409, 422, 503]),
        "storage" => of("node", "The disks of this node, and those that apps wait for")
            .gives::<StorageView>("How each is, and which apps keep their data on it."),
        "disk_prepare" => of("node", "Prepare a disk for apps' data")
            .more("All that is on it is lost. The disk that this system was started from, and one that is in use, is refused.")
            .takes::<PrepareWish>()
            .gives::<StorageView>("It is ready.")
            .refuses(&[409, 422, 503, 507]),
        "disk_act" => of("node", "Use a disk that was prepared, take it away, or repair it")
            .more("`eject` stops the apps whose data lie on it; when it answers, the disk may be unplugged. `use` and `repair` mount it.")
            .gives::<StorageView>("It is done.")
            .refuses(&[404, 409, 503, 507]),
        "power" => of("node", "Restart this node, or switch it off")
            .takes::<settings::PowerRequest>()
            .gives::<settings::PowerDone>("It begins.")
            .refuses(&[409, 503]),
        _ => return None,
    })
}

/// Of newcomers that are let in by four words which two people compare.
pub fn four_words(id: &str) -> Option<Said> {
    let asked = |said: Said| said.gives::<words::AskingShown>("How it stands.");
    Some(match id {
        "asking" => asked(of("microcloud", "How this node asks another to be let in by four words")),
        "asking_begin" => asked(of("microcloud", "Ask a node on the local network to be let in by four words"))
            .more("Once it has answered, `asking` shows four words, which must show at the other node too. What was asked before is asked no more.")
            .takes::<words::AskRequest>()
            .refuses(&[409, 503]),
        "asking_same" => asked(of("microcloud", "Say that a person found the same four words at the other node"))
            .more("This node joins once a person there has said so too. Refused with other words than those that are shown.")
            .takes::<words::SameWords>()
            .refuses(&[409, 503]),
        "asking_stop" => asked(of("microcloud", "Ask no more, or take away how it ended")).refuses(&[409, 503]),
        "newcomers" => of("microcloud", "The newcomers that ask this node to be let in, with their four words")
            .more("There are few at one time, each for ten minutes. What they call themselves are strangers' words.")
            .gives::<words::Newcomers>("All of them."),
        "newcomer_decide" => of("microcloud", "Let a newcomer in whose page shows the same four words, or turn it away")
            .more("It gets an invite once the person at its side has said so too; before both did, it gets nothing. Refused with other words than its own.")
            .takes::<words::NewcomerDecision>()
            .gives::<words::NewcomerDecided>("It is decided.")
            .refuses(&[409, 503]),
        _ => return None,
    })
}

/// Of services of other nodes that are opened through this one.
pub fn opened(id: &str) -> Option<Said> {
    Some(match id {
        "tunnels" => of("services", "What is open of other nodes through this one")
            .gives::<tunnels::TunnelsPage>("A page of it, by port.")
            .paged(paging::MAX_PAGE),
        "tunnel_open" => of("services", "Open a service of another node through this one")
            .more("It must be published as a port. The other node is asked for it first, so that what is answered works. A tunnel that is open is answered again (200). It is for whoever is on a network of this node, and for the address from which it was opened; it closes when it was not used for 30 minutes.")
            .takes::<tunnels::TunnelWish>()
            .gives_as::<tunnels::TunnelOpened>(200, "It is open already.")
            .gives_as::<tunnels::TunnelOpened>(201, "It is open now.")
            .refuses(&[404, 409, 503]),
        "tunnel_close" => of("services", "Close a tunnel, with all that goes through it")
            .gives::<tunnels::TunnelClosed>("It is closed.")
            .refuses(&[404]),
        _ => return None,
    })
}

/// Of what admins hide from all, and people from themselves.
pub fn hidden(id: &str) -> Option<Said> {
    let hide = |said: Said| {
        said.more("What is hidden is in no list any more; it goes on, and its own node lists it still, with who hid it and why. This node must be an admin.")
            .takes::<hides::HideWish>()
            .gives::<hides::HiddenView>("It is hidden, and all members hear of it.")
            .refuses(&[404, 409, 503, 507])
    };
    let show = |said: Said| {
        said.more("Only the node that hid it does: `hidden` of the answer says what hides it still.")
            .gives::<hides::ShownAgain>("This node hides it no more.")
            .refuses(&[404, 409, 422, 503, 507])
    };
    let mute = |said: Said| said.gives::<muted::MutedView>("It is left out of what this person finds.").refuses(&[404, 409, 422, 503, 507]);
    let unmute = |said: Said| said.gives::<muted::MutedView>("It is shown again.").refuses(&[404, 422, 507]);
    Some(match id {
        "hidden" => of("services", "What admins hide from all who search")
            .gives::<hides::HiddenPage>("A page of it, by node.")
            .paged(paging::MAX_PAGE)
            .refuses(&[409, 503]),
        "hide_node" => hide(of("services", "Hide all services of a node from all who search")),
        "hide_service" => hide(of("services", "Hide a service of another node from all who search")),
        "show_node" => show(of("services", "Show a node's services to all again")),
        "show_service" => show(of("services", "Show a service to all again")),
        "muted" => of("people", "What one does not want to be shown of what is shared")
            .gives::<muted::MutedPage>("A page of it, by node.")
            .paged(paging::MAX_PAGE),
        "mute_node" => mute(of("people", "Be shown no service of a node any more")),
        "mute_service" => mute(of("people", "Be shown a service no more")),
        "unmute_node" => unmute(of("people", "Be shown a node's services again")),
        "unmute_service" => unmute(of("people", "Be shown a service again")),
        _ => return None,
    })
}

/// Of the nodes of one owner.
pub fn household(id: &str) -> Option<Said> {
    let there = |summary| {
        let anything = json!({ "description": "What that node's API answers." });
        of("household", summary)
            .more("`path` is below `/api/v1/` there. That node holds the request to what whoever asks may do here, and does not pass it on; what is a person's own (sessions, accounts), apps' stores, and what stays with a node's local socket are not asked so.")
            .gives_other("application/json", "What that node answers; its status is that node's too.", anything)
            .refuses(&[404, 409, 422, 429, 502, 503, 504])
    };
    let with_body = |mut said: Said| {
        said.body = Some(json!({ "required": false, "content": { "application/json": { "schema": {} } } }));
        said
    };
    let shown = |said: Said| said.gives::<HouseholdView>("How it is now.").refuses(&[404, 409, 422, 503]);
    Some(match id {
        "household" => shown(of("household", "The nodes of this node's owner")),
        "household_begin" => of("household", "Make this node the first of its owner's, or by a recovery kit one more of them")
            .more("Without a kit, the owner's key is the one that is on this node: of whoever founded the microcloud here, or of a household that began here before; else a new one.")
            .takes::<homes::HouseholdWish>()
            .gives::<homes::HouseholdBegun>("It is. A new key's recovery kit is said once.")
            .refuses(&[409, 422, 503]),
        "household_leave" => shown(of("household", "Take this node out of its owner's nodes")),
        "household_ask" => shown(of("household", "Say that another node is the same owner's").more("It is, once somebody there agrees.")),
        "household_answer" => {
            shown(of("household", "Agree that this node is the owner's of a node that says so, or do not").takes::<homes::HouseholdAnswer>())
        }
        "household_take_back" => shown(of("household", "Say no more that a node is the same owner's")),
        "household_kit" => {
            of("household", "The recovery kit of the household that began here").gives::<homes::HouseholdKit>("Its text.").refuses(&[409, 503])
        }
        "at_read" => there("Ask another node of this owner"),
        "at_put" => with_body(there("Set something on another node of this owner")),
        "at_do" => with_body(there("Do something on another node of this owner")),
        "at_delete" => there("Remove something on another node of this owner"),
        _ => return None,
    })
}
