//! What a page's script fetches anew.

use super::*;

#[tokio::test]
async fn what_comes_anew_is_the_part_of_the_page_that_may_change() {
    let data = tempfile::tempdir().unwrap();
    let (app, sessions) = peopled(data.path()).await;
    let (_, owner, _) = &sessions[0];
    let get = async |path: &str| far(&app, "GET", path, &format!("cookie: {owner}\r\n"), "").await;
    for (page, part) in [
        ("/apps", "/apps/body"),
        ("/catalogs", "/catalogs/body"),
        ("/leases", "/leases/body"),
        ("/jobs?limit=2", "/jobs/body?limit=2"),
        ("/files?text=a%26b", "/files/body?text=a%26b&amp;after=&amp;apps=false"),
        ("/storage", "/storage/body"),
    ] {
        let shown = get(page).await;
        assert!(shown.body().contains(&format!("data-fresh=\"{part}\"")), "{page} ({}): {}", shown.status, shown.text);
        assert!(shown.body().contains("src=\"/page.js\""), "{page} has the script");
        let fresh = get(&part.replace("&amp;", "&")).await;
        assert!(fresh.status == 200 && !fresh.body().is_empty() && shown.body().contains(fresh.body()), "{part}: {}", fresh.text);
    }
    // What was asked wrongly is not asked again and again.
    let wrong = get("/files?limit=x").await;
    assert!(wrong.status == 400 && !["data-fresh", "page.js"].iter().any(|part| wrong.body().contains(part)), "{}", wrong.text);
    let upload = get("/files").await;
    let form = upload.body().find("id=\"upload\"").unwrap();
    assert!(form < upload.body().find("data-fresh").unwrap(), "what is being sent is not replaced");
}
