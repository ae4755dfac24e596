package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Answers as the hub does: a listing with checksums, small files from itself by way of a relative
 * redirect, large ones by a redirect to another server, with ranges. Faults are put in a queue for
 * a path and are answered with first.
 */
final class HubServer implements AutoCloseable {
  static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What a request brought. */
  record Request(String server, String path, Map<String, String> headers) {
    String header(String name) {
      return headers.getOrDefault(name, "");
    }
  }

  /** Answers in place of what would have been. */
  interface Answer {
    void to(HttpExchange exchange, byte[] bytes) throws IOException;
  }

  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Stored(byte[] bytes, boolean large) {}

  final List<Request> requests = new CopyOnWriteArrayList<>();
  private final Map<String, Map<String, Stored>> repositories = new ConcurrentHashMap<>();
  private final Map<String, Deque<Answer>> faults = new ConcurrentHashMap<>();
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final HttpServer hub;
  private final HttpServer network;

  HubServer() {
    hub = start("127.0.0.1", this::answerHub);
    network = start("localhost", this::answerNetwork);
  }

  private interface Handler {
    void handle(HttpExchange exchange) throws IOException;
  }

  private HttpServer start(String host, Handler handler) {
    try {
      HttpServer server = HttpServer.create(new InetSocketAddress(host, 0), 0);
      server.setExecutor(threads);
      server.createContext(
          "/",
          exchange -> {
            Map<String, String> headers = new LinkedHashMap<>();
            exchange.getRequestHeaders().forEach((name, all) -> headers.put(name, all.getFirst()));
            requests.add(new Request(host, exchange.getRequestURI().getRawPath(), headers));
            try (exchange) {
              handler.handle(exchange);
            }
          });
      server.start();
      return server;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  URI endpoint() {
    return URI.create("http://127.0.0.1:" + hub.getAddress().getPort());
  }

  String networkAddress() {
    return "http://localhost:" + network.getAddress().getPort();
  }

  /** Adds a file that is kept in Git, or a large one. */
  HubServer put(String repository, String file, byte[] bytes, boolean large) {
    repositories
        .computeIfAbsent(repository, name -> new LinkedHashMap<>())
        .put(file, new Stored(bytes, large));
    return this;
  }

  /** Adds all files of a directory. */
  HubServer put(String repository, Path directory) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        String name = file.getFileName().toString();
        put(repository, name, Files.readAllBytes(file), name.endsWith(".safetensors"));
      }
    }
    return this;
  }

  /** Lets one request for a path be answered in another way; {@code /cdn/FILE} for large files. */
  HubServer once(String path, Answer answer) {
    faults.computeIfAbsent(path, name -> new ArrayDeque<>()).add(answer);
    return this;
  }

  HubServer times(int count, String path, Answer answer) {
    for (int i = 0; i < count; i++) {
      once(path, answer);
    }
    return this;
  }

  /** Answers with a status and no body; headers in pairs. */
  static Answer status(int status, String... headers) {
    return (exchange, bytes) -> {
      for (int i = 0; i < headers.length; i += 2) {
        exchange.getResponseHeaders().set(headers[i], headers[i + 1]);
      }
      exchange.sendResponseHeaders(status, -1);
    };
  }

  /** Answers with other bytes and their own length. */
  static Answer bytes(byte[] other) {
    return (exchange, bytes) -> {
      exchange.sendResponseHeaders(200, other.length);
      exchange.getResponseBody().write(other);
    };
  }

  /** Promises all bytes from the offset asked for, sends some and cuts the connection. */
  static Answer cutAfter(int count) {
    return (exchange, bytes) -> {
      int from = offset(exchange);
      head(exchange, bytes, from);
      exchange.getResponseBody().write(bytes, from, count);
      exchange.getResponseBody().flush();
    };
  }

  static String listing(String repository) {
    return "/api/models/" + repository + "/revision/main";
  }

  List<Request> requestsFor(String path) {
    return requests.stream().filter(request -> request.path().equals(path)).toList();
  }

  private void answerHub(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    if (fault(exchange, path, new byte[0])) {
      return;
    }
    for (var repository : repositories.entrySet()) {
      String api = "/api/models/" + repository.getKey() + "/revision/";
      String resolve = "/" + repository.getKey() + "/resolve/" + COMMIT + "/";
      if (path.startsWith(api)) {
        bytes(answer(repository.getValue())).to(exchange, new byte[0]);
        return;
      }
      if (path.startsWith(resolve)) {
        String file = path.substring(resolve.length());
        Stored stored = Optional.ofNullable(repository.getValue().get(file)).orElseThrow();
        String there = stored.large() ? networkAddress() + "/cdn/" : "/cache/";
        status(
                302,
                "Location",
                there + file + "?repository=" + repository.getKey() + "&signature=s")
            .to(exchange, new byte[0]);
        return;
      }
    }
    if (path.startsWith("/cache/")) {
      answerFile(exchange, path, path.substring("/cache/".length()));
    } else {
      status(404, "X-Error-Code", "RepoNotFound", "X-Error-Message", "Repository not found")
          .to(exchange, new byte[0]);
    }
  }

  private static byte[] answer(Map<String, Stored> files) throws IOException {
    ObjectNode answer = JSON.createObjectNode().put("sha", COMMIT);
    ArrayNode siblings = answer.putArray("siblings");
    files.forEach(
        (name, stored) -> {
          ObjectNode file = siblings.addObject().put("rfilename", name);
          file.put("size", stored.bytes().length);
          file.put("blobId", gitHash(stored.bytes()));
          if (stored.large()) {
            file.putObject("lfs")
                .put("size", stored.bytes().length)
                .put("sha256", hash("SHA-256", stored.bytes()));
          }
        });
    return JSON.writeValueAsBytes(answer);
  }

  static String gitHash(byte[] bytes) {
    byte[] head = ("blob " + bytes.length + "\0").getBytes(UTF_8);
    return hash("SHA-1", head, bytes);
  }

  static String hash(String algorithm, byte[]... parts) {
    try {
      MessageDigest digest = MessageDigest.getInstance(algorithm);
      for (byte[] part : parts) {
        digest.update(part);
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (java.security.NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  private void answerNetwork(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    answerFile(exchange, path, path.substring("/cdn/".length()));
  }

  private void answerFile(HttpExchange exchange, String path, String file) throws IOException {
    String repository = exchange.getRequestURI().getQuery().replaceAll("repository=|&.*", "");
    byte[] bytes =
        Optional.ofNullable(repositories.getOrDefault(repository, Map.of()).get(file))
            .orElseThrow()
            .bytes();
    if (!fault(exchange, path, bytes)) {
      int from = offset(exchange);
      head(exchange, bytes, from);
      exchange.getResponseBody().write(bytes, from, bytes.length - from);
    }
  }

  private boolean fault(HttpExchange exchange, String path, byte[] bytes) throws IOException {
    Optional<Answer> fault =
        Optional.ofNullable(faults.get(path))
            .flatMap(
                queue -> {
                  synchronized (queue) {
                    return Optional.ofNullable(queue.poll());
                  }
                });
    if (fault.isPresent()) {
      fault.get().to(exchange, bytes);
    }
    return fault.isPresent();
  }

  static int offset(HttpExchange exchange) {
    return Optional.ofNullable(exchange.getRequestHeaders().getFirst("Range"))
        .map(range -> Integer.parseInt(range.replaceAll("bytes=|-", "")))
        .orElse(0);
  }

  static void head(HttpExchange exchange, byte[] bytes, int from) throws IOException {
    if (from > 0) {
      exchange
          .getResponseHeaders()
          .set("Content-Range", "bytes " + from + "-" + (bytes.length - 1) + "/" + bytes.length);
    }
    exchange.sendResponseHeaders(from > 0 ? 206 : 200, bytes.length - from);
  }

  @Override
  public void close() {
    hub.stop(0);
    network.stop(0);
    threads.shutdownNow();
  }
}
