package dev.lorikeet.jlama.hub;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/*
 * Idea: everything is a GET at the endpoint, and redirects are followed by hand, because the token must not go where
 * they lead: it is sent to the endpoint's scheme, host and port only. Large files come from a content delivery network
 * whose signed URLs expire, so each attempt begins at the endpoint again. A file is asked for by commit, so its bytes
 * cannot change between two attempts, and a Range needs no If-Range: the network's entity tags are not the hub's and
 * would spoil it. What arrives is checked at the end.
 *
 * HTTP/1.1: one large body at a time gains nothing from streams and pays for their flow control.
 */
/**
 * Asks the hub. Failures that may pass are {@link IOException}s, others {@link LorikeetException}s.
 */
final class HubClient implements AutoCloseable {
  private static final int MAX_REDIRECTS = 5;
  private static final int MAX_LISTING_BYTES = 8 << 20;
  private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);
  private static final Set<Integer> PASSING = Set.of(408, 425, 429, 500, 502, 503, 504);
  private static final Pattern TOKEN = Pattern.compile("[!-~]+");
  private static final Pattern SECONDS = Pattern.compile("[0-9]{1,9}");

  private final URI endpoint;
  private final Optional<String> token;
  private final Patience patience;
  private final HttpClient http;

  HubClient(URI endpoint, Optional<String> token, Patience patience) {
    this.endpoint = checked(endpoint);
    this.token = token;
    this.patience = patience;
    token.ifPresent(
        text -> {
          if (!TOKEN.matcher(text).matches()) {
            throw new IllegalArgumentException(
                "access token: expected printable characters without spaces, found others");
          }
        });
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(patience.connect())
            .build();
  }

  private static URI checked(URI endpoint) {
    if (!isHttp(endpoint) || endpoint.getRawQuery() != null || endpoint.getRawFragment() != null) {
      throw new IllegalArgumentException(
          "endpoint: expected https://host or https://host/path, found '" + endpoint + "'");
    }
    String text = endpoint.toString();
    return text.endsWith("/")
        ? checked(URI.create(text.substring(0, text.length() - 1)))
        : endpoint;
  }

  private static boolean isHttp(URI url) {
    return url.getHost() != null
        && url.getRawUserInfo() == null
        && (scheme(url).equals("https") || scheme(url).equals("http"));
  }

  /** Lists the files of a repository. */
  HubListing list(ModelName name) throws IOException {
    URI url =
        URI.create(
            endpoint
                + "/api/models/"
                + name.repository()
                + "/revision/"
                + encoded(name.revisionOrMain())
                + "?blobs=true");
    try (HubBody body = new HubBody(get(name, url, 0), patience.stall())) {
      return HubListing.parse(HubFaults.shown(url), body.readAll(MAX_LISTING_BYTES));
    }
  }

  /** Revisions have no other characters that mean something in a URL. */
  private static String encoded(String revision) {
    return revision.replace("+", "%2B").replace("/", "%2F");
  }

  /** Asks for the bytes of a file from an offset on; the answer may begin at 0 all the same. */
  HubBody open(ModelName name, String commit, RemoteFile file, long offset) throws IOException {
    return new HubBody(get(name, url(name, commit, file), offset), patience.stall());
  }

  /** Returns the URL of a file, whose name has no character to encode. */
  URI url(ModelName name, String commit, RemoteFile file) {
    return URI.create(
        endpoint + "/" + name.repository() + "/resolve/" + commit + "/" + file.path());
  }

  private HttpResponse<InputStream> get(ModelName name, URI start, long offset) throws IOException {
    URI url = start;
    for (int redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      HttpResponse<InputStream> response = send(url, offset);
      int status = response.statusCode();
      if (status == 200 || status == 206) {
        return response;
      }
      response.body().close();
      if (!REDIRECTS.contains(status)) {
        refuse(name, url, response);
      }
      url = target(url, response);
    }
    throw Faults.MODEL.invalid(
        HubFaults.shown(start), "at most " + MAX_REDIRECTS + " redirects", "more");
  }

  private HttpResponse<InputStream> send(URI url, long offset) throws IOException {
    HttpRequest.Builder request = HttpRequest.newBuilder(url).header("User-Agent", "lorikeet");
    if (offset > 0) {
      request.header("Range", "bytes=" + offset + "-");
    }
    if (isEndpoint(url)) {
      token.ifPresent(text -> request.header("Authorization", "Bearer " + text));
    }
    CompletableFuture<HttpResponse<InputStream>> answer =
        http.sendAsync(request.build(), BodyHandlers.ofInputStream());
    try {
      return answer.get(patience.answer().toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      answer.cancel(true);
      throw new IOException(
          HubFaults.shown(url) + ": no answer for " + patience.answer().toSeconds() + " s", e);
    } catch (InterruptedException e) {
      answer.cancel(true);
      throw HubFaults.cancelled(HubFaults.shown(url));
    } catch (ExecutionException e) {
      Throwable cause = Optional.ofNullable(e.getCause()).orElse(e);
      throw new IOException(HubFaults.shown(url) + ": " + cause, cause);
    }
  }

  private boolean isEndpoint(URI url) {
    return scheme(url).equals(scheme(endpoint))
        && url.getHost().equalsIgnoreCase(endpoint.getHost())
        && url.getPort() == endpoint.getPort();
  }

  private static String scheme(URI url) {
    return Optional.ofNullable(url.getScheme()).orElse("").toLowerCase(Locale.ROOT);
  }

  private static URI target(URI from, HttpResponse<?> response) {
    String location = response.headers().firstValue("Location").orElse("");
    try {
      URI to = from.resolve(location);
      if (!location.isEmpty()
          && isHttp(to)
          && (scheme(to).equals("https") || scheme(from).equals("http"))) {
        return to;
      }
    } catch (IllegalArgumentException e) {
      // Refused below, like any other place that is not one.
    }
    throw Faults.MODEL.invalid(HubFaults.shown(from) + ": Location", "an https address", location);
  }

  private void refuse(ModelName name, URI url, HttpResponse<?> response) throws IOException {
    int status = response.statusCode();
    String answer = HubFaults.shown(url) + ": found HTTP " + status + reason(response);
    if (PASSING.contains(status) || !isEndpoint(url)) {
      throw new Retries.Passing(answer, retryAfter(response));
    }
    String code = response.headers().firstValue("X-Error-Code").orElse("");
    throw switch (status) {
      case 401, 403 ->
          token.isPresent()
              ? HubFaults.failed(
                  answer
                      + ", expected leave to read "
                      + name
                      + ": the token has none; where conditions must be accepted, do so at "
                      + endpoint
                      + "/"
                      + name.repository())
              : HubFaults.notFound(
                  answer
                      + ", expected a public repository "
                      + name
                      + ": there is none of that name, or it asks for an access token: set"
                      + " HF_TOKEN");
      case 404 ->
          HubFaults.notFound(
              answer
                  + ", expected "
                  + (code.equals("RevisionNotFound")
                      ? "revision " + name.revisionOrMain() + " of " + name.repository()
                      : name.toString()));
      default -> HubFaults.failed(answer + ", expected 200");
    };
  }

  private static String reason(HttpResponse<?> response) {
    return response
        .headers()
        .firstValue("X-Error-Message")
        .map(text -> " (" + Faults.show(text) + ")")
        .orElse("");
  }

  private static Optional<Duration> retryAfter(HttpResponse<?> response) {
    return response
        .headers()
        .firstValue("Retry-After")
        .map(String::strip)
        .filter(text -> SECONDS.matcher(text).matches())
        .map(text -> Duration.ofSeconds(Long.parseLong(text)));
  }

  @Override
  public void close() {
    http.shutdownNow();
  }
}
