package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers that are wrong, hostile or refusals: each is told with its URL, and writes nothing. */
class HostileHubTest extends Downloads {
  private static final String LISTING = HubServer.listing("some/model");

  private void assertListingRefused(String json, String... words) {
    server.once(LISTING, HubServer.bytes(json.getBytes(UTF_8)));
    assertRefused(Code.MODEL_INVALID, words);
    assertFalse(Files.exists(folder()));
  }

  private static String listing(String files) {
    return "{\"sha\": \"" + HubServer.COMMIT + "\", \"siblings\": [" + files + "]}";
  }

  private static String file(String name) {
    return "{\"rfilename\": \"" + name + "\", \"size\": 3}";
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../config.json",
        "a/../../config.json",
        "/etc/passwd",
        "..",
        "./config.json",
        "a//b",
        "a/",
        "",
        "a\\\\b",
        "c:config.json",
        "a\\u0000b",
        "a\\nb",
        "a\\u007fb"
      })
  void pathsThatLeaveTheRepositoryAreRefused(String name) {
    assertListingRefused(
        listing(file("config.json") + "," + file(name)), LISTING, "siblings[1]: rfilename");
  }

  @ParameterizedTest
  @ValueSource(strings = {"-1", "1.5", "\"3\"", "null", "1e300", "99999999999999999999"})
  void sizesMustBeNumbersOfBytes(String size) {
    assertListingRefused(
        listing("{\"rfilename\": \"config.json\", \"size\": " + size + "}"), "siblings[0]: size");
    assertListingRefused(
        listing(
            "{\"rfilename\": \"a.safetensors\", \"size\": 1, \"lfs\": {\"size\": " + size + "}}"),
        "siblings[0]: lfs: size");
  }

  @Test
  void listingsMustBeListings() {
    assertListingRefused("{", LISTING);
    assertListingRefused("[]", LISTING, "object");
    assertListingRefused("{\"sha\": \"main\", \"siblings\": []}", "sha");
    assertListingRefused("{\"siblings\": []}", "sha", "nothing");
    assertListingRefused("{\"sha\": \"" + HubServer.COMMIT + "\"}", "siblings");
    assertListingRefused(listing(file("config.json") + "," + file("config.json")), "twice");
    assertListingRefused("{\"a\": \"" + "x".repeat(9 << 20) + "\"}", "at most", "more");
  }

  @Test
  void aListingLargerThanTheDiskIsSaidBeforehand() {
    String large = "{\"rfilename\": \"model.safetensors\", \"size\": " + (1L << 49) + "}";
    server.once(
        LISTING,
        HubServer.bytes(
            listing(file("config.json") + "," + file("tokenizer.json") + "," + large)
                .getBytes(UTF_8)));
    assertRefused(Code.STORAGE_FULL, "room for", "found");
    assertEquals(1, server.requests.size());
  }

  @Test
  void moreBytesThanDeclaredAreNotWritten() {
    server.once(CDN, HubServer.bytes(new byte[WEIGHTS.length + 1]));
    assertRefused(Code.MODEL_INVALID, "Content-Length", String.valueOf(WEIGHTS.length));
    server.once(
        CDN,
        (exchange, bytes) -> {
          exchange.sendResponseHeaders(200, 0); // chunked, without a length
          exchange.getResponseBody().write(bytes);
          exchange.getResponseBody().write(bytes);
        });
    assertRefused(Code.MODEL_INVALID, "as listed", "more");
    assertFalse(Files.exists(weightsFile()));
  }

  @Test
  void aRangeThatWasNotAskedForIsRefused() throws IOException {
    write("models/some_model/model.safetensors", new byte[100]);
    server.once(
        CDN,
        (exchange, bytes) -> {
          exchange.getResponseHeaders().set("Content-Range", "bytes 99-200/" + bytes.length);
          exchange.sendResponseHeaders(206, 102);
          exchange.getResponseBody().write(bytes, 99, 102);
        });
    assertRefused(Code.MODEL_INVALID, "Content-Range", "from 100", "bytes 99-200");
  }

  @Test
  void redirectsAreBounded() {
    server.times(10, CDN, HubServer.status(302, "Location", server.networkAddress() + CDN));
    server.times(10, LISTING, HubServer.status(307, "Location", LISTING + "?again=true"));
    assertRefused(Code.MODEL_INVALID, LISTING, "at most 5 redirects");
    assertEquals(6, server.requests.size());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "file:///etc/passwd",
        "ftp://localhost/x",
        "",
        "http://",
        "http://u:p@localhost/",
        "::"
      })
  void redirectsLeadToWebAddresses(String location) {
    server.once(LISTING, HubServer.status(302, "Location", location));
    assertRefused(Code.MODEL_INVALID, LISTING + ": Location", "https");
  }

  @ParameterizedTest
  @CsvSource({
    "404, RepoNotFound, MODEL_NOT_FOUND, some/model",
    "404, RevisionNotFound, MODEL_NOT_FOUND, revision main",
    "401, RepoNotFound, MODEL_NOT_FOUND, HF_TOKEN",
    "403, GatedRepo, MODEL_NOT_FOUND, HF_TOKEN",
    "400, , DOWNLOAD_FAILED, HTTP 400"
  })
  void refusalsSayWhatToDo(int status, String error, Code code, String word) {
    server.once(
        LISTING,
        HubServer.status(
            status, "X-Error-Code", error == null ? "" : error, "X-Error-Message", "Why"));
    assertRefused(code, LISTING, "HTTP " + status, "(Why)", word);
    assertEquals(1, server.requests.size());
  }

  @ParameterizedTest
  @ValueSource(ints = {401, 403})
  void aTokenWithoutLeaveIsSaidAndNotShown(int status) {
    server.once(LISTING, HubServer.status(status, "X-Error-Code", "GatedRepo"));
    var error =
        assertThrows(LorikeetException.class, () -> hub().token("secret").build().model(MODEL));
    assertEquals(Code.DOWNLOAD_FAILED, error.code());
    assertFalse(error.getMessage().contains("secret"), error.getMessage());
    assertEquals(
        true, error.getMessage().contains(server.endpoint() + "/some/model"), error.getMessage());
  }

  @Test
  void anUnknownAdapterHasItsOwnCode() {
    var error =
        assertThrows(
            LorikeetException.class, () -> hub().build().adapter(ModelName.parse("no/body")));
    assertEquals(Code.ADAPTER_NOT_FOUND, error.code());
  }

  @Test
  void aServerThatIsBusyIsAskedAgainWhenItSays() throws IOException {
    server
        .once(LISTING, HubServer.status(429, "Retry-After", "7"))
        .once(LISTING, HubServer.status(503))
        .once(CDN, HubServer.status(500));
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(
        List.of(Duration.ofSeconds(7), Duration.ofSeconds(2), Duration.ofSeconds(1)), pauses);
  }

  @Test
  void aServerThatStaysBusyIsGivenUp() {
    server.times(9, LISTING, HubServer.status(502));
    assertRefused(Code.DOWNLOAD_FAILED, LISTING, "HTTP 502", "4 times");
    assertEquals(4, server.requests.size());
  }

  @Test
  void aPauseOfAnHourIsNotWaitedFor() {
    server.once(LISTING, HubServer.status(429, "Retry-After", "3600"));
    assertRefused(Code.DOWNLOAD_FAILED, "HTTP 429", "3600 s");
    assertEquals(List.of(), pauses);
  }

  @Test
  void signedAddressesThatExpireAreAskedForAnew() throws IOException {
    server.once(CDN, HubServer.status(403));
    assertDownloaded(hub().build().model(MODEL));
  }

  @Test
  void aServerThatDoesNotAnswerIsGivenUp() {
    CountDownLatch end = new CountDownLatch(1);
    server.times(
        4,
        LISTING,
        (exchange, bytes) -> {
          try {
            end.await();
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
    try {
      assertRefused(
          hub().patience(patience(Duration.ofMillis(200))).build(),
          Code.DOWNLOAD_FAILED,
          "no answer");
    } finally {
      end.countDown();
    }
  }

  @Test
  void aServerThatIsNotThereIsSaid() {
    server.close();
    assertRefused(Code.DOWNLOAD_FAILED, LISTING, "Connect");
  }

  @Test
  void anInterruptedDownloadIsCancelled() {
    Thread.currentThread().interrupt();
    assertRefused(Code.CANCELLED, "interrupted");
    assertEquals(true, Thread.interrupted());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"file:///tmp", "http:///x", "localhost", "http://u:p@host", "http://host?x=y"})
  void endpointsAreWebAddresses(String endpoint) {
    Hub hub = hub().endpoint(URI.create(endpoint)).build();
    assertThrows(IllegalArgumentException.class, () -> hub.model(MODEL));
  }

  @Test
  void aTokenWithLineBreaksIsRefusedAndNotShown() {
    Hub hub = hub().token("secret\r\nHost: x").build();
    var error = assertThrows(IllegalArgumentException.class, () -> hub.model(MODEL));
    assertFalse(String.valueOf(error.getMessage()).contains("secret"));
  }
}
