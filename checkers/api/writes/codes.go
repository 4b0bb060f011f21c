package writes

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// codes is the status code of each reason: the constructors of
// k8s.io/apimachinery pkg/api/errors/errors.go and the documentation of
// StatusReason in pkg/apis/meta/v1/types.go.
var codes = map[string]int32{
	"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405,
	"NotAcceptable": 406, "AlreadyExists": 409, "Conflict": 409, "Gone": 410, "Expired": 410,
	"RequestEntityTooLarge": 413, "UnsupportedMediaType": 415, "Invalid": 422, "TooManyRequests": 429,
	"InternalError": 500, "ServerTimeout": 500, "StorageReadError": 500, "ServiceUnavailable": 503, "Timeout": 504,
}

// reasoned are the status codes that never come without a reason, because they
// are only made by those constructors. Others are also sent as plain text: by
// the limits of requests in flight, by a server that is not ready, or for a
// path that is not served.
var reasoned = map[int32]bool{409: true, 410: true, 415: true, 422: true}

// code judges the status code of an answer by its reason.
func (c *Checker) code(call *history.APICall) {
	if why := c.badPair(call.Status, call.Reason, call.Error != ""); why != "" {
		c.fail(ErrorHonest, func() *evidence { return because("%s", why).call(call) })
	}
}

// watchCode judges an error in the stream of a watch in the same way. The server has
// taken the request: what ends its stream is that it is behind (410), or has trouble of
// its own.
func (c *Checker) watchCode(w *history.APIWatch) {
	why := c.badPair(w.Status, w.Reason, w.Error != "")
	if why == "" && w.Status >= 400 && w.Status < 500 && w.Status != 410 && w.Status != 429 {
		why = "a watch that was opened ended with an error that says that its request was wrong"
	}
	if why == "" {
		return
	}
	c.fail(ErrorHonest, func() *evidence {
		e := because("%s", why)
		e.rows = append(e.rows, row{From: w.At, What: "watch #" + utoa(w.Call), Text: "ERROR " + strconv.Itoa(int(w.Status)) + " " + w.Reason})
		return e
	})
}

// badPair says what is wrong with a status code and a reason.
func (c *Checker) badPair(status int32, reason string, broken bool) string {
	if status == 0 || broken || status < 400 && reason == "" {
		return ""
	}
	c.judged[ErrorHonest]++
	code, known := codes[reason]
	switch {
	case reason == "" && reasoned[status]:
		return "an error of status " + strconv.Itoa(int(status)) + " came without a reason"
	case reason == "":
		return ""
	case !known:
		c.counts.oddReasons++ // a reason of an extension
		return ""
	case code != status:
		return "an error of reason " + reason + " came with status " + strconv.Itoa(int(status)) + ", not " + strconv.Itoa(int(code))
	}
	return ""
}
