//! All that pages say, in both languages: a text that lacks one does not compile.

mod called;

/// The table: each text with its name, in English and in Japanese. `{}` stands for what is put in.
macro_rules! words {
    ($($name:ident: $en:literal, $ja:literal;)*) => {
        /// What pages say in one language.
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        /// In English.
        pub(super) static EN: Words = Words { $($name: $en,)* };

        /// In Japanese.
        pub(super) static JA: Words = Words { $($name: $ja,)* };

        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $ja)),*];
    };
}

words! {
    // Around every page.
    product: "Kakehashi console", "架け橋コンソール";
    skip: "Skip to content", "本文へ移動";
    pages: "Pages", "ページ";
    language: "Language", "言語";
    sign_out: "Sign out", "サインアウト";
    my_account: "My account", "マイアカウント";
    signed_in_as: "Signed in as", "サインイン中:";
    detail: "In detail", "詳細";
    operators: "Operators", "運用者";
    yes: "Yes", "はい";
    no: "No", "いいえ";
    none: "None", "なし";
    show: "Show", "表示";
    cancel: "Cancel", "キャンセル";
    confirm: "Confirm", "確定";
    back: "Back", "戻る";
    next_page: "Next", "次へ";
    first_page: "Newest", "最新へ";
    stale: "Connection lost. What you see may be old; the page tries to connect again.",
        "接続が切れました。表示は古い可能性があります。再接続を試みています。";
    choose_tenant: "Choose a tenant", "テナントを選択";
    tenant: "Tenant", "テナント";
    all_tenants: "All tenants", "すべてのテナント";

    // Refusals.
    refused_wrong: "That cannot be: check what you entered.", "入力内容が正しくありません。確認してください。";
    refused_not_allowed: "You may not do that. Ask an administrator.",
        "この操作の権限がありません。管理者に依頼してください。";
    refused_absent: "There is nothing of that name any more.", "該当するものが見つかりません。";
    refused_conflict: "What is there already is in the way.", "既存のものと重複するか、上限に達しています。";
    refused_busy: "Not now: try again in a moment.", "ただいま処理できません。少し待って再試行してください。";
    refused_failed: "Something failed that has nothing to do with you. The log of control says \
         what.",
        "内部エラーが発生しました。詳細はコントロールのログにあります。";
    foreign_form: "This form did not come from a page of this console, or lay open for too long. \
         Go back, load the page anew and try again.",
        "このフォームは本コンソールのページから送信されていないか、期限が切れています。戻ってページを再読み込みし、もう一度お試しください。";
    store_down: "The store does not answer. Try again later.", "ストアが応答しません。後で再試行してください。";

    // Sign-in.
    sign_in: "Sign in", "サインイン";
    sign_in_help: "Operators leave the tenant empty.", "運用者はテナント欄を空のままにしてください。";
    login: "Login ID", "ログインID";
    password: "Password", "パスワード";
    bad_credentials: "Tenant, login ID or password is wrong, or this account has no page here.",
        "テナント、ログインID、パスワードのいずれかが正しくないか、このアカウントはコンソールを利用できません。";
    too_often: "Too many attempts. Try again in {} seconds.", "試行回数が多すぎます。{}秒後に再試行してください。";
    second_factor: "Second factor", "二要素認証";
    code: "Code", "コード";
    code_help: "Six digits from your authenticator, or one of your recovery codes.",
        "認証アプリの6桁のコード、または回復コードを入力してください。";
    bad_code: "The code is wrong, too old, or was used before. Wait for the next one.",
        "コードが正しくないか、期限切れ、または使用済みです。次のコードをお待ちください。";
    set_up_second: "Set up your second factor", "二要素認証の設定";
    enrol_help: "Scan this with an authenticator app, or type the key into it. Then enter the \
         code that it shows.",
        "認証アプリで読み取るか、キーを入力してください。その後、表示されたコードを入力します。";
    qr_code: "QR code for your authenticator", "認証アプリ用QRコード";
    enrol_key: "Key", "キー";
    recovery_codes: "Your recovery codes", "回復コード";
    recovery_help: "Each lets you in once if you lose your authenticator. Write them down: they \
         are not shown again.",
        "認証アプリを失ったとき、各コードで1回だけサインインできます。再表示されないため、必ず控えてください。";
    recovery_kept: "I have written them down", "控えました";
    recovery_left: "You signed in with a recovery code; {} are left. Set up another authenticator \
         below.",
        "回復コードでサインインしました(残り{}個)。下で新しい認証アプリを設定してください。";
    change_password: "Change your password", "パスワードの変更";
    change_now: "Your password is for one sign-in. Choose one of your own: at least 15 \
         characters, such as four or five words.",
        "このパスワードは1回限りです。新しいパスワードを設定してください(15文字以上。4〜5個の単語など)。";
    old_password: "Password until now", "現在のパスワード";
    new_password: "New password", "新しいパスワード";
    new_password_again: "New password again", "新しいパスワード(確認)";
    password_changed: "Your password is changed. Sign in with it.",
        "パスワードを変更しました。新しいパスワードでサインインしてください。";
    passwords_differ: "The two new passwords differ.", "新しいパスワードが一致しません。";
    old_password_wrong: "The password until now is another.", "現在のパスワードが正しくありません。";
    password_same: "The new password is the old one. Choose another.",
        "新しいパスワードが現在のものと同じです。別のものにしてください。";
    password_short: "The new password is too short: at least 15 characters.",
        "新しいパスワードが短すぎます(15文字以上)。";
    password_bad: "The new password is easy to guess, too long, or holds a name. Choose words \
         that have nothing to do with each other.",
        "新しいパスワードは推測されやすいか、長すぎるか、名前を含んでいます。互いに関係のない単語を選んでください。";
    new_second: "Another authenticator", "認証アプリの変更";
    new_second_help: "Enter a code of the authenticator you have now, or a recovery code; then \
         you set up the new one and get new recovery codes.",
        "現在の認証アプリのコードまたは回復コードを入力すると、新しい認証アプリと回復コードを設定できます。";
    browsers: "Where you are signed in", "サインイン中のブラウザ";
    this_browser: "this browser", "このブラウザ";
    from_address: "From", "接続元";
    last_used: "Last used", "最終利用";
    others: "Other browsers", "他のブラウザ";
    all_others: "all others", "他のすべて";
    sign_out_others: "Sign out", "サインアウトさせる";
    others_signed_out: "Signed out there.", "サインアウトさせました。";

    // Ranks and roles.
    role: "Role", "役割";
    operator: "Operator", "運用者";
    observer: "Observer (read only)", "閲覧者(読み取り専用)";
    store: "Store", "店舗";
    concierge: "Concierge", "コンシェルジュ";
    supervisor: "Supervisor", "スーパーバイザー";
    tenant_admin: "Tenant administrator", "テナント管理者";

    // Now.
    now: "Now", "現在の状況";
    live_calls: "Live calls", "通話中";
    terminals: "Terminals", "端末";
    waiting_terminals: "Waiting terminals", "待機中の端末";
    relays: "Relays", "リレー";
    relays_up: "Relays connected", "接続中のリレー";
    calls_queued: "Waiting at desks", "窓口待ち";
    map: "Map of sites and relays", "サイトとリレーの地図";
    map_help: "Each circle is a relay, as large as it has legs; each line, calls prepared on two \
         relays.",
        "円はリレー(大きさは接続数)、線は2つのリレーに準備された通話を表します。";
    site: "Site", "サイト";
    no_site: "no site", "サイト未設定";
    legs: "Legs", "接続数";
    caller: "Caller", "発信者";
    callee: "Other members", "相手";
    state: "State", "状態";
    duration: "For", "経過時間";
    since: "Since", "開始";
    device: "Device", "端末ID";
    desk: "Desk", "窓口";
    queued: "queued", "窓口待ち";
    ringing: "ringing", "呼び出し中";
    active: "in call", "通話中";
    ended: "ended", "終了";
    desks_rest: "Nobody waits at a desk, and no agent of one is signed in.",
        "窓口で待っている通話も、サインイン中の担当者もありません。";
    free_agents: "Available", "待機中の担当者";
    available: "available", "待機中";
    away: "away", "離席中";
    wrap_up: "after a call", "後処理中";
    offline: "offline", "オフライン";
    waiting_calls: "Waiting", "待ち数";
    longest_wait: "Longest wait", "最長待ち時間";
    quality: "Quality", "品質";
    loss: "Loss", "損失";
    jitter: "Jitter", "ジッター";
    round_trip: "Round trip", "往復遅延";
    no_calls: "No calls at the moment.", "現在、通話はありません。";
    no_terminals: "No terminals are signed in.", "サインイン中の端末はありません。";
    no_relays: "No relay has connected yet.", "接続したリレーはまだありません。";
    end_call: "End call", "通話を終了";
    call_ended: "The call is ended.", "通話を終了しました。";
    end_call_sure: "End this call? Both sides lose sound and picture at once.",
        "この通話を終了しますか?双方の音声と映像が直ちに切れます。";
    connected: "connected", "接続中";
    lost: "lost", "切断";
    drained: "drained", "ドレイン中";

    // Accounts.
    accounts: "Accounts", "アカウント";
    search: "Search", "検索";
    search_help: "Part of a login ID or name", "ログインIDまたは名前の一部";
    display_name: "Name", "表示名";
    standing: "Standing", "利用状態";
    active_account: "active", "有効";
    suspended: "suspended", "停止中";
    created: "Created", "作成";
    add_account: "Add an account", "アカウントの追加";
    add: "Add", "追加";
    account_added: "The account is added.", "アカウントを追加しました。";
    one_time_password: "One-time password, shown this once", "ワンタイムパスワード(この画面限り)";
    one_time_help: "Hand it over: at the first sign-in the terminal asks for a new one.",
        "本人に伝えてください。初回サインイン時に新しいパスワードの設定を求められます。";
    found: "Found", "該当";
    none_found: "No account matches.", "該当するアカウントはありません。";
    suspend: "Suspend", "停止";
    suspend_help: "Ends its sessions, calls and media at once, in the middle of a sentence, \
         everywhere. Nobody can sign in with it until it is activated again.",
        "セッション、通話、音声・映像を、会話の途中でもすべての場所で直ちに切断します。再開するまでサインインできません。";
    suspend_sure: "Suspend this account?", "このアカウントを停止しますか?";
    reason: "Reason", "理由";
    reason_help: "Kept with the account and in the audit log.", "アカウントと監査ログに記録されます。";
    reactivate: "Activate again", "再開";
    reactivated: "The account may sign in again.", "再びサインインできるようになりました。";
    is_suspended: "The account is suspended; its sessions, calls and media have ended.",
        "アカウントを停止しました。セッション、通話、音声・映像は終了しました。";
    relays_silent: "It is suspended, but these relays have not answered, and may send on until \
         they are back: {}.",
        "停止しましたが、次のリレーが応答していません。復帰するまで送信が続く可能性があります: {}";
    media_stopped: "Last media byte", "最後のメディア";
    media_unknown: "none was sent on", "転送なし";
    reset_password: "New password", "パスワードの再発行";
    reset_password_help: "Gives it a one-time password and ends its sessions.",
        "ワンタイムパスワードを発行し、セッションを終了します。";
    password_reset: "The account has a new password.", "新しいパスワードを発行しました。";
    reset_second: "Reset second factor", "二要素認証のリセット";
    reset_second_help: "At its next sign-in here it sets up an authenticator anew.",
        "次回のコンソールサインイン時に認証アプリを再設定します。";
    second_was_reset: "It sets up an authenticator anew at its next sign-in.",
        "次回サインイン時に認証アプリを再設定します。";
    change_role: "Change role", "役割の変更";
    change_role_help: "Its sessions end, and begin anew with the other role.",
        "セッションを終了し、新しい役割で開始します。";
    role_changed: "The role is changed.", "役割を変更しました。";
    sessions: "Sessions", "セッション";
    no_sessions: "Not signed in.", "サインインしていません。";
    suspended_devices: "Suspended devices", "停止中の端末";
    suspend_device: "Suspend on this device", "この端末での利用を停止";
    device_suspended: "The account can no longer be used on that device.", "その端末では利用できなくなりました。";
    import: "Import from CSV", "CSVから取り込み";
    import_help: "A line each: login ID, name, role. The first line names the columns: \
         login,display,role.",
        "1行に1件: ログインID、表示名、役割。1行目は列名(login,display,role)です。";
    import_text: "CSV text", "CSVテキスト";
    import_file: "Or take it from a file", "またはファイルから読み込む";
    import_do: "Import", "取り込む";
    imported: "Imported", "取り込み結果";
    result: "Result", "結果";
    import_bad: "This is not such a CSV text.", "CSVの形式が正しくありません。";
    import_too_long: "Too many lines: at most 200 at a time.", "行数が多すぎます(一度に200行まで)。";
    export: "Export as CSV", "CSVで書き出し";

    // Lists in general.
    remove: "Remove", "削除";
    from_date: "From (UTC)", "開始日(UTC)";
    to_date: "To (UTC)", "終了日(UTC)";
    bad_number: "This must be a number:", "数値を入力してください:";
    bad_text: "This cannot be read:", "読み取れません:";
    any: "Any", "すべて";
    outcome: "Outcome", "結果";
    older: "Older", "過去へ";

    // Tenants.
    tenants: "Tenants", "テナント";
    add_tenant: "Add a tenant", "テナントの追加";
    tenant_name: "Name of the tenant", "テナント名";
    tenant_name_help: "Small letters, digits and . _ @ -; people type it at each sign-in. It \
         cannot be changed.",
        "英小文字、数字、. _ @ - が使えます。サインインのたびに入力する名前で、後から変更できません。";
    tenant_added: "The tenant is added, with the usual limits.", "標準の上限でテナントを追加しました。";
    tenant_suspend_help: "Ends all its sessions, calls and media at once, in the middle of a \
         sentence, everywhere. Nobody of it can sign in, here neither, until it is activated \
         again. Nothing is deleted.",
        "このテナントのセッション、通話、音声・映像を、会話の途中でもすべて直ちに切断します。再開するまで、このコンソールも含め誰もサインインできません。データは削除されません。";
    tenant_suspend_sure: "Suspend this whole tenant? Everybody of it is cut off at once.",
        "このテナント全体を停止しますか?全員が直ちに切断されます。";
    tenant_suspended: "The tenant is suspended; its sessions, calls and media have ended.",
        "テナントを停止しました。セッション、通話、音声・映像は終了しました。";
    tenant_reactivated: "People of the tenant may sign in again.", "テナントの利用者は再びサインインできます。";
    no_tenants: "There is no tenant yet.", "テナントはまだありません。";
    accounts_max: "Accounts at most", "アカウント数の上限";
    signed_in_now: "Signed in", "サインイン中";

    // Policy.
    policy: "Policy", "ポリシー";
    limits: "Limits", "上限";
    limits_help: "What the tenant may have: operators set these.", "テナントが利用できる量です。運用者だけが設定できます。";
    rules: "Rules", "ルール";
    rules_help: "How the tenant wants its calls: its administrators set these, too.",
        "テナントの通話の方針です。テナント管理者も設定できます。";
    p_accounts: "Accounts", "アカウント数";
    p_terminals: "Terminals signed in at once", "同時にサインインできる端末数";
    p_calls: "Calls at once", "同時通話数";
    p_rate: "Most that a leg may send (kbit/s)", "1接続の送信レート上限(kbit/s)";
    p_rate_help: "0: no limit of its own.", "0: 個別の上限なし。";
    p_lane: "Media keys", "メディアの鍵";
    lane_pass: "Members of a call share the sender's key", "通話の参加者が送信者の鍵を共有";
    lane_seal: "Relays seal anew for each member", "リレーが参加者ごとに再暗号化";
    p_protection: "When a relay is lost", "リレー障害時";
    protection_standard: "Terminals go over to the other relay (short gap)",
        "端末がもう一方のリレーへ切り替え(短い途切れあり)";
    protection_hitless: "Terminals send over both relays (no gap)", "端末が両方のリレーへ常時送信(途切れなし)";
    p_listening: "Supervisors may listen to calls", "スーパーバイザーによる通話モニタリング";
    p_records: "Days for which records of calls are kept", "通話記録の保存日数";
    p_records_help: "0: as long as there is room.", "0: 空きがある限り保存。";
    p_may_call: "Who may call whom", "誰が誰に発信できるか";
    p_may_call_help: "Each row is a role; ticked are the roles that it may call.",
        "行の役割から、チェックした役割へ発信できます。";
    p_desks: "Desks that may be called", "発信できる窓口";
    p_desks_help: "all, or names with commas between; empty for none.",
        "all(すべて)、または窓口名をカンマ区切りで。空欄は発信不可。";
    p_software: "Software of terminals that is let in", "利用できる端末ソフトウェア";
    p_software_help: "A line each: name and lowest version, such as kakehashi-terminal 0.1.0. \
         Empty: all.",
        "1行に1件、名前と最低バージョン(例: kakehashi-terminal 0.1.0)。空欄: すべて許可。";
    p_hours: "Hours in which calls may begin", "通話を開始できる時間帯";
    p_hours_help: "As TOML; a day without a line is closed. Empty: always.",
        "TOML形式。書かれていない曜日は休業です。空欄: 常時。";
    preview: "See what changes", "変更内容を確認";
    preview_title: "Before it is saved", "保存前の確認";
    preview_help: "Nothing is saved yet. This is what becomes different, and what that means.",
        "まだ保存されていません。変更される項目とその影響を確認してください。";
    setting: "Setting", "項目";
    value_until_now: "Until now", "現在";
    value_from_now: "From now on", "変更後";
    meaning: "What it means", "影響";
    nothing_changes: "Nothing would change.", "変更はありません。";
    policy_saved: "The policy is saved and holds from now on.", "ポリシーを保存しました。直ちに適用されます。";
    policy_moved: "Somebody else has changed the policy meanwhile. Look again at what would \
         change.",
        "その間に他の人がポリシーを変更しました。変更内容をもう一度確認してください。";
    m_more: "There is room for more at once. What the machines can carry is not checked here.",
        "直ちに上限が広がります。設備の処理能力はここでは確認されません。";
    m_fewer_accounts: "Accounts that there are stay. None is added while there are as many as \
         this.",
        "既存のアカウントは残ります。この数に達している間は追加できません。";
    m_fewer_terminals: "No session ends. New sign-ins are refused while as many terminals are \
         signed in.",
        "セッションは終了しません。この数に達している間、新しいサインインは拒否されます。";
    m_fewer_calls: "No call ends. New calls are refused while as many go on.",
        "進行中の通話は切れません。この数に達している間、新しい通話は拒否されます。";
    m_rate: "Counts for calls that begin from now on: a leg that sends more loses the rest, which \
         is heard and seen.",
        "これから始まる通話に適用されます。超過分は破棄され、音声や映像が乱れます。";
    m_seal: "Counts for calls that begin from now on: no member has another's key. Relays work \
         more for each packet, so each carries fewer legs.",
        "これから始まる通話に適用されます。参加者は他の参加者の鍵を持ちません。リレーの負荷が増え、収容できる接続数が減ります。";
    m_pass: "Counts for calls that begin from now on: members get the bytes that the sender \
         sealed, and with them its key for this call.",
        "これから始まる通話に適用されます。参加者は送信者が暗号化したデータと、その通話用の鍵を受け取ります。";
    m_hitless: "Counts for calls that begin from now on: losing a relay costs no packet. It takes \
         twice the upstream and twice of relays' capacity.",
        "これから始まる通話に適用されます。リレーを失ってもパケットは失われません。端末の上り帯域とリレー容量が2倍必要です。";
    m_standard: "Counts for calls that begin from now on: when a relay is lost, there is a short \
         gap. It takes half the upstream.",
        "これから始まる通話に適用されます。リレーを失うと短い途切れがあります。上り帯域は半分になります。";
    m_listening_on: "Supervisors may listen from now on. Everybody in the call is told while they \
         do.",
        "スーパーバイザーが通話を聴けるようになります。聴いている間、参加者全員に通知されます。";
    m_listening_off: "Nobody may begin to listen any more.", "新たに通話を聴くことはできなくなります。";
    m_records_shorter: "Records of older calls are removed at once and for good. Export them \
         first if you need them.",
        "これより古い通話記録は直ちに完全に削除され、元に戻せません。必要なら先に書き出してください。";
    m_records_longer: "Records are kept for longer. What was removed does not come back.",
        "通話記録の保存期間が延びます。削除済みの記録は戻りません。";
    m_may_call: "Calls that go on are not touched. New ones that are not ticked are refused.",
        "進行中の通話には影響しません。チェックのない新しい通話は拒否されます。";
    m_desks: "Calls that wait or go on are not touched. New calls to other desks are refused.",
        "待機中・進行中の通話には影響しません。他の窓口への新しい通話は拒否されます。";
    m_software: "Terminals with other or older software are refused at their next sign-in. Nobody \
         is thrown out.",
        "該当しない、または古いソフトウェアの端末は次回サインイン時に拒否されます。現在のセッションは終了しません。";
    m_software_all: "Any software is let in.", "すべてのソフトウェアが利用できます。";
    m_hours: "Outside these hours no call begins. Calls that go on then are not ended.",
        "時間外には通話を開始できません。進行中の通話は切れません。";
    m_hours_always: "Calls may begin at any time.", "いつでも通話を開始できます。";
    always: "always", "常時";
    unlimited: "no limit", "上限なし";
    no_end: "as long as there is room", "空きがある限り";

    // Desks.
    desks: "Desks", "窓口";
    no_desks: "There is no desk yet.", "窓口はまだありません。";
    add_desk: "Add a desk", "窓口の追加";
    change_desk: "Change the desk", "窓口の変更";
    desk_name: "Name of the desk", "窓口名";
    agents: "Agents", "担当者";
    agents_help: "Login IDs, one a line.", "ログインIDを1行に1件。";
    ring_order: "Who rings", "呼び出し順";
    longest_idle: "Whoever has been free for longest", "最も長く空いている担当者";
    round_robin: "One after the other in turn", "順番に1人ずつ";
    ring_all: "All at once", "全員同時";
    queue_max: "Calls that may wait", "待機できる通話数";
    ring_s: "An agent rings for (s)", "1人あたりの呼び出し時間(秒)";
    wrap_up_s: "Rest after a call (s)", "通話後の後処理時間(秒)";
    wait_max_s: "A call waits at most (s)", "最長待ち時間(秒)";
    overflow_to: "Overflows to the desk", "あふれた通話の転送先窓口";
    overflow_help: "Empty: nowhere.", "空欄: 転送しない。";
    overflow_after_s: "After (s)", "転送までの時間(秒)";
    announce: "Callers are asked to play an announcement", "待機中の発信者に案内を流す";
    desk_added: "The desk is added.", "窓口を追加しました。";
    desk_changed: "The desk is changed; calls and agents have noticed.", "窓口を変更しました。直ちに適用されます。";
    desk_removed: "The desk is removed.", "窓口を削除しました。";
    desk_remove_help: "Calls that wait there end. Calls that go on stay.",
        "この窓口で待機中の通話は終了します。進行中の通話は切れません。";
    desk_remove_sure: "Remove this desk? Calls that wait there end.", "この窓口を削除しますか?待機中の通話は終了します。";

    // Relays and nodes.
    fleet: "Relays and nodes", "リレーとノード";
    nodes: "Nodes", "ノード";
    node: "Node", "ノード";
    this_node: "this node", "このノード";
    leads: "leads", "リーダー";
    linked: "connected", "接続中";
    certificates: "Certificates of this node", "このノードの証明書";
    certificate_until: "Certificate until", "証明書の期限";
    to_browsers: "browsers", "ブラウザー";
    to_operators: "operators' programs", "運用者のプログラム";
    to_terminals: "terminals", "端末";
    to_relays: "relays", "リレー";
    to_nodes: "other nodes", "他のノード";
    ends_soon: "ends soon: renew it", "期限間近: 更新してください";
    unknown: "unknown", "不明";
    addresses: "Addresses", "アドレス";
    software: "Software", "ソフトウェア";
    counters: "Counters", "カウンター";
    drain: "Drain", "ドレイン開始";
    drain_help: "Calls go over to other relays without losing a packet, and no new ones come: \
         then it can be upgraded.",
        "通話はパケットを失わずに他のリレーへ移り、新しい通話は割り当てられません。その後アップグレードできます。";
    drain_sure: "Take this relay out of use? Its calls go over to others.",
        "このリレーを運用から外しますか?通話は他のリレーへ移ります。";
    undrain: "Put back", "運用に戻す";
    drain_begun: "The relay is being drained: its legs go to zero below.",
        "ドレインを開始しました。下の接続数が0になるまでお待ちください。";
    undrained: "The relay gets calls again.", "リレーに再び通話が割り当てられます。";
    drain_left: "{} legs left", "残り{}接続";
    drain_over: "empty: it can be stopped", "空: 停止できます";

    // Records.
    records: "Call records", "通話記録";
    no_records: "No call matches.", "該当する通話はありません。";
    records_window: "The newest {} ended calls of the tenant are searched.",
        "テナントの終了済み通話のうち、最新{}件を検索しています。";
    answered: "Answered", "応答";
    not_answered: "Not answered", "未応答";
    ended_at: "Ended", "終了";
    one_call: "Call", "通話";
    members: "Members", "参加者";
    joined: "Joined", "参加";
    left_at: "Left", "退出";
    waited: "Waited at the desk", "窓口での待ち時間";
    r_caller: "called", "発信者";
    r_callee: "was called", "着信者";
    r_added: "was brought in", "追加された参加者";
    r_listener: "listened", "モニタリング";
    packets_sent: "Packets sent", "送信パケット";
    packets_received: "Received", "受信";
    concealed: "Concealed", "補間";
    end_hung_up: "hung up", "切断";
    end_rejected: "declined", "拒否";
    end_cancelled: "given up by the caller", "発信者が取り消し";
    end_no_answer: "no answer", "応答なし";
    end_peer_lost: "a member was lost", "参加者の接続断";
    end_no_relay: "no relay could carry it", "リレーなし";
    end_restarted: "control restarted", "コントロール再起動";
    end_suspended: "a member was suspended", "参加者の停止";
    end_transferred: "went on as part of another", "別の通話へ移行";
    end_nobody: "nobody at the desk in time", "窓口で応答なし";
    end_by_operator: "ended by an operator or administrator", "運用者または管理者が終了";
    end_rights: "a member's role or password changed", "参加者の役割またはパスワードの変更";

    // Audit.
    audit: "Audit log", "監査ログ";
    record_number: "Record", "記録番号";
    when: "When", "日時";
    who: "Who", "実行者";
    place: "From", "接続元";
    act: "Act", "操作";
    target: "Of", "対象";
    no_audit: "No record matches in this part of the log.", "この範囲に該当する記録はありません。";
    audit_filter_help: "Filters look at the {} records before the number.", "番号より前の{}件を対象に絞り込みます。";
    before: "Before record", "この番号より前";
    audit_state: "Is the log as it was written?", "ログの改ざん検証";
    verify: "Verify now", "今すぐ検証";
    verify_more: "Verify on", "続きを検証";
    intact: "Intact", "正常";
    intact_help: "{} records are as they were written: none is changed, missing or moved.",
        "{}件の記録は書き込まれたままです。変更、欠落、入れ替えはありません。";
    intact_so_far: "Intact so far", "ここまで正常";
    broken: "BROKEN", "異常";
    broken_at: "The first wrong record is number {}. Keep the store as it is, and look into it.",
        "最初の異常は記録{}です。ストアをそのまま保全し、調査してください。";
    chain_end: "Hash of the last record", "最後の記録のハッシュ";
    archived: "In the archive up to record", "アーカイブ済みの記録";

    // Operators.
    add_operator: "Add an operator", "運用者の追加";
    operator_role: "May change things", "変更の権限";
    operators_help: "Operators look after the whole platform; observers see the same and change \
         nothing. Each needs a second factor, set up at the first sign-in.",
        "運用者はプラットフォーム全体を管理します。閲覧者は同じものを見られますが変更はできません。全員、初回サインイン時に二要素認証を設定します。";

    // Status.
    status: "Status", "外部監視";
    status_help: "What calls from outside found: a probe signs in, calls and listens as terminals \
         do.",
        "外部プローブの結果です。端末と同じようにサインインし、発信し、音声を確認します。";
    status_unset: "No probe is set up. Run `kakehashi-loadgen probe` outside the platform, have \
         it write a status file, and name that file as console.probe_status in control.toml.",
        "プローブが設定されていません。プラットフォームの外で kakehashi-loadgen probe を実行して状態ファイルを書き出し、control.toml の consol\
         e.probe_status にそのファイルを指定してください。";
    status_unreadable: "The probe's file cannot be read.", "プローブの状態ファイルを読み取れません。";
    status_old: "The probe has said nothing for some time: what follows is old.",
        "プローブからの更新が途絶えています。以下は古い情報です。";
    status_good: "All well", "正常";
    status_bad: "Something is wrong", "異常あり";
    status_none: "The probe has made no round yet.", "プローブはまだ1回も実行されていません。";
    last_round: "Last round", "最新の結果";
    rounds: "Last rounds", "最近の結果";
    took: "Took", "所要時間";
    set_up: "Call set up", "通話確立";
    sign_ins: "Sign-ins", "サインイン";
    found_wrong: "What is wrong", "異常の内容";
    next_step: "Next step", "対処";
    to_callee: "Loss to the called side", "着信側への損失";
    to_caller: "Loss to the caller", "発信側への損失";
    fine: "good", "正常";
    wrong: "wrong", "異常";

    // Pages to come.
    reports: "Reports", "レポート";
    reports_soon: "Nothing here yet: this page will sum up calls, answer times and quality by \
         day, desk and tenant. Until then, call records can be exported as CSV.",
        "準備中です。日別・窓口別・テナント別の通話数、応答時間、品質の集計を表示する予定です。それまでは通話記録をCSVで書き出してください。";
    updates: "Updates", "アップデート";
    updates_soon: "Nothing here yet: this page will show which release each part runs and lead \
         through an upgrade, relay by relay. Until then, drain a relay on the page of relays and \
         upgrade it as OPERATING.md says.",
        "準備中です。各部のリリースを表示し、リレーごとのアップグレード手順を案内する予定です。それまではリレーの画面でドレインし、OPERATING.mdの手順に従ってください。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_everything_and_put_in_the_same() {
        for (name, en, ja) in ALL {
            assert!(!en.is_empty() && !ja.is_empty(), "{name}");
            assert_eq!(en.matches("{}").count(), ja.matches("{}").count(), "{name}");
            assert!(en.is_ascii(), "{name}: {en}");
            assert!(!ja.is_ascii(), "{name}: {ja}");
        }
    }
}
