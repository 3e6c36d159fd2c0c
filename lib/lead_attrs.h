/* The attributes of a lead, one row each; included with
 *   PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help)
 * defined.  `name` is what API and channels see, `column` what SQL sees, `max` the largest value in
 * bytes of UTF-8 (text) or JSON.  Parsing, sealing, storing, answering, filtering and documentation
 * read these rows. CREATE UPDATE  who writes may give it then     NEEDED  must be given SEALED
 * personal: kept only inside the sealed frame, never logged FILTER SORT    may be used so in lists
 * CHANNEL channels see it       OPERATE  needs the scope operate or admin */
PLUMB_LEAD_ATTR(USER_ID, "userId", "user_id", UUID, 36, CREATE | NEEDED | FILTER,
                "whose project it is")
PLUMB_LEAD_ATTR(PROJECT_ID, "projectId", "project_id", UUID, 36, CREATE | NEEDED | FILTER | CHANNEL,
                "the project of the quiz")
PLUMB_LEAD_ATTR(QUIZ_ID, "quizId", "quiz_id", UUID, 36, CREATE | NEEDED | FILTER | CHANNEL,
                "where it was left")
PLUMB_LEAD_ATTR(EXTERNAL_ID, "externalId", "external_id", TEXT, 255,
                CREATE | UPDATE | FILTER | CHANNEL, "the sender's own id")
PLUMB_LEAD_ATTR(EXTERNAL_SYSTEM, "externalSystem", "external_system", TEXT, 255,
                CREATE | UPDATE | FILTER | CHANNEL, "the sender's system")
PLUMB_LEAD_ATTR(EXTERNAL_ENTITY, "externalEntity", "external_entity", TEXT, 255,
                CREATE | UPDATE | FILTER | CHANNEL, "kind of record there")
PLUMB_LEAD_ATTR(EXTERNAL_ENTITY_ID, "externalEntityId", "external_entity_id", TEXT, 255,
                CREATE | UPDATE | FILTER | CHANNEL, "id of that record")
PLUMB_LEAD_ATTR(NAME, "name", "name", TEXT, 255, CREATE | UPDATE | SEALED | CHANNEL,
                "the person's name")
PLUMB_LEAD_ATTR(PHONE, "phone", "phone", PHONE, 32, CREATE | UPDATE | SEALED | FILTER | CHANNEL,
                "kept as E.164")
PLUMB_LEAD_ATTR(EMAIL, "email", "email", EMAIL, 254, CREATE | UPDATE | SEALED | FILTER | CHANNEL,
                "trimmed, domain in lower case")
PLUMB_LEAD_ATTR(CONTACTS, "contacts", "contacts", JSON, 16384, CREATE | UPDATE | SEALED | CHANNEL,
                "further ways to reach the person")
PLUMB_LEAD_ATTR(DATA, "data", "data", JSON, 65536, CREATE | UPDATE | CHANNEL,
                "answers and whatever else the sender knows")
PLUMB_LEAD_ATTR(STATUS, "status", "status", WORD, 16, CREATE | UPDATE | FILTER | SORT | CHANNEL,
                "New, AtWork, Success, Declined")
PLUMB_LEAD_ATTR(UTM_SOURCE, "utmSource", "utm_source", CUT, 255, CREATE | FILTER | CHANNEL,
                "campaign, as sent")
PLUMB_LEAD_ATTR(UTM_MEDIUM, "utmMedium", "utm_medium", CUT, 255, CREATE | FILTER | CHANNEL,
                "campaign, as sent")
PLUMB_LEAD_ATTR(UTM_CAMPAIGN, "utmCampaign", "utm_campaign", CUT, 255, CREATE | FILTER | CHANNEL,
                "campaign, as sent")
PLUMB_LEAD_ATTR(UTM_CONTENT, "utmContent", "utm_content", CUT, 255, CREATE | FILTER | CHANNEL,
                "campaign, as sent")
PLUMB_LEAD_ATTR(UTM_TERM, "utmTerm", "utm_term", CUT, 255, CREATE | FILTER | CHANNEL,
                "campaign, as sent")
PLUMB_LEAD_ATTR(IP_ADDRESS, "ipAddress", "ip_address", IP, 45, CREATE | FILTER | CHANNEL,
                "the person's address")
PLUMB_LEAD_ATTR(CITY, "city", "city", TEXT, 255, CREATE | UPDATE | FILTER | CHANNEL,
                "from the address if not given")
PLUMB_LEAD_ATTR(COUNTRY, "country", "country", TEXT, 255, CREATE | UPDATE | FILTER | CHANNEL,
                "from the address if not given")
PLUMB_LEAD_ATTR(REGION, "region", "region", TEXT, 255, CREATE | UPDATE | FILTER | CHANNEL,
                "from the address if not given")
PLUMB_LEAD_ATTR(TIMEZONE, "timezone", "timezone", TEXT, 64, CREATE | UPDATE | FILTER | CHANNEL,
                "from the address if not given")
PLUMB_LEAD_ATTR(VIEWED, "viewed", "viewed", BOOL, 5, UPDATE | FILTER, "somebody opened it")
PLUMB_LEAD_ATTR(PAID, "paid", "paid", BOOL, 5, UPDATE | OPERATE | FILTER, "its plan covers it")
PLUMB_LEAD_ATTR(BLOCKED, "blocked", "blocked", BOOL, 5, UPDATE | OPERATE | FILTER,
                "the blocklist stops it")
PLUMB_LEAD_ATTR(IS_TEST, "isTest", "is_test", BOOL, 5, CREATE | FILTER | CHANNEL,
                "goes only where tests are welcome")
PLUMB_LEAD_ATTR(DUPLICATE_OF, "duplicateOf", "duplicate_of", UUID, 36, FILTER,
                "the first lead of this person")
PLUMB_LEAD_ATTR(FINGERPRINT, "fingerprint", "fingerprint", TEXT, 128, CREATE | FILTER,
                "the sender's mark of the browser")
PLUMB_LEAD_ATTR(REFERER, "referer", "referer", CUT, 2048, CREATE | FILTER | CHANNEL,
                "the page it came from")
PLUMB_LEAD_ATTR(CREATED_AT, "createdAt", "created_at", TIME, 24, FILTER | SORT | CHANNEL,
                "when it was accepted")
PLUMB_LEAD_ATTR(UPDATED_AT, "updatedAt", "updated_at", TIME, 24, FILTER | SORT | CHANNEL,
                "when it was last changed")
PLUMB_LEAD_ATTR(DELETED_AT, "deletedAt", "deleted_at", TIME, 24, FILTER, "when it was put away")
PLUMB_LEAD_ATTR(ERASED_AT, "erasedAt", "erased_at", TIME, 24, FILTER,
                "when what tells of the person was destroyed")
